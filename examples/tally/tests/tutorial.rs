//! What `docs/plug-in.md` shows of the source stands in the source.

const SOURCES: [(&str, &str); 12] = [
    ("assemble.rs", include_str!("../src/assemble.rs")),
    ("collector.rs", include_str!("../src/collector.rs")),
    ("connect.rs", include_str!("../src/connect.rs")),
    ("counters.rs", include_str!("../src/counters.rs")),
    ("enter.rs", include_str!("../src/enter.rs")),
    ("frames.rs", include_str!("../src/frames.rs")),
    ("language.rs", include_str!("../src/language.rs")),
    ("lifter.rs", include_str!("../src/lifter.rs")),
    ("machine.rs", include_str!("../src/machine.rs")),
    ("program.rs", include_str!("../src/program.rs")),
    ("tally.sir", include_str!("../src/tally.sir")),
    ("value.rs", include_str!("../src/value.rs")),
];

/// A text's lines without their indentation, between line ends.
fn plain(text: &str) -> String {
    text.lines().map(|line| format!("\n{}", line.trim())).collect::<String>() + "\n"
}

#[test]
fn every_fragment_is_taken_from_the_file_that_it_names() {
    let text = include_str!("../../../docs/plug-in.md");
    let mut fragments = 0;
    // A fragment begins with a line such as ```rust machine.rs
    for fence in text.split("```").skip(1).step_by(2) {
        let (header, body) = fence.split_once('\n').expect("a fence has lines");
        let Some((_, name)) = header.split_once(' ') else { continue };
        let (_, source) =
            SOURCES.iter().find(|source| source.0 == name).unwrap_or_else(|| panic!("no file {name}"));
        let source = plain(source);
        // `…` stands for lines that are left out.
        for part in plain(body).split("\n…\n").map(|part| format!("\n{}\n", part.trim())) {
            assert!(source.contains(&part), "this is not in {name}:\n{part}");
            fragments += 1;
        }
    }
    assert!(fragments > 10, "{fragments} fragments");
}
