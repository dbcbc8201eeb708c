//! Lua programs and what they print.
//!
//! * `tests/scripts/*.lua` print what is in the `.out` file beside them: what Lua 5.4 printed. `SURMISE_BLESS=1` asks `lua5.4`
//!   again.
//! * `tests/scripts/random/*.lua` make up inputs from a seed; they print what `lua5.4` prints, where that is installed.
//!
//! Addresses don't count.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of the random scripts.
const SEEDS: [u32; 3] = [1, 2, 3];

/// A mode's name, arguments and settings.
type Mode = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// Ways to run the goldens.
const MODES: [Mode; 3] = [
    ("interpreted", &["--no-surmise"], &[]),
    ("collecting all the time", &["--no-surmise"], &[("SURMISE_NURSERY", "256")]),
    ("as users run it", &[], &[]),
];

fn scripts(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "lua"));
    found.sort();
    assert!(!found.is_empty());
    found
}

/// What a program prints, standard error behind standard output. Scripts run in their folder, so that messages have no paths.
fn printed(program: &str, arguments: &[&str], settings: &[(&str, &str)], script: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.current_dir(script.parent().unwrap()).args(arguments).arg(script.file_name().unwrap());
    command.stdin(std::process::Stdio::null()).env("TZ", "UTC").env("LC_ALL", "C");
    // Settings of whoever runs the tests are not the programs'; an unknown one is even refused.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SURMISE_")) {
        command.env_remove(name);
    }
    command.envs(settings.iter().copied());
    let output = command.output().ok()?;
    let mut bytes = output.stdout;
    bytes.extend_from_slice(&output.stderr);
    let text = String::from_utf8_lossy(&bytes).replace("lua5.4: ", "lua: ");
    Some(without_addresses(&text))
}

/// Replaces hexadecimal numbers that are long enough to be addresses.
fn without_addresses(text: &str) -> String {
    const SHORTEST: usize = 8;
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("0x") {
        let digits = rest[start + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(&rest[..start]);
        if digits < SHORTEST {
            out.push_str(&rest[start..start + 2 + digits]);
        } else {
            out.push_str("ADDRESS");
        }
        rest = &rest[start + 2 + digits..];
    }
    out + rest
}

fn ours(arguments: &[&str], settings: &[(&str, &str)], script: &Path) -> String {
    printed(env!("CARGO_BIN_EXE_lua"), arguments, settings, script).expect("the command was built")
}

/// The first difference of two outputs.
fn difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (mut a, mut b) = (expected.lines(), found.lines());
    for line in 1.. {
        let (expected, found) = (a.next(), b.next());
        if expected != found {
            return Some(format!("line {line}\n  expected {expected:?}\n  found    {found:?}"));
        }
        if expected.is_none() {
            break;
        }
    }
    Some("line ends".to_string())
}

#[test]
fn scripts_print_what_lua_prints() {
    let bless = std::env::var_os("SURMISE_BLESS").is_some();
    let mut wrong = Vec::new();
    for script in scripts("tests/scripts") {
        let golden = script.with_extension("out");
        if bless {
            std::fs::write(&golden, printed("lua5.4", &[], &[], &script).expect("lua5.4 is installed"))
                .unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        for (mode, arguments, settings) in MODES {
            if let Some(difference) = difference(&expected, &ours(arguments, settings, &script)) {
                wrong.push(format!("{} ({mode}), {difference}", script.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn random_inputs_give_what_lua_gives() {
    if Command::new("lua5.4").arg("-v").output().is_err() {
        eprintln!("lua5.4 is not installed: nothing to compare with");
        return;
    }
    let mut wrong = Vec::new();
    for script in scripts("tests/scripts/random") {
        for seed in SEEDS {
            let set_seed = format!("SEED={seed}");
            let arguments = ["-e", &set_seed];
            let expected = printed("lua5.4", &arguments, &[], &script).expect("lua5.4 is installed");
            if let Some(difference) =
                difference(&expected, &ours(&["-e", &set_seed, "--no-surmise"], &[], &script))
            {
                wrong.push(format!("{} with seed {seed}, {difference}", script.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_left_open_are_written() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("left_open.txt");
    for (end, code) in [("", 0), ("os.exit(3)", 3), ("error('x')", 1)] {
        let source = format!("f = io.open([[{}]], 'w') f:write('text', 5) {end}", path.display());
        let output =
            Command::new(env!("CARGO_BIN_EXE_lua")).args(["--no-surmise", "-e", &source]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{end}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text5", "{end}");
        std::fs::remove_file(&path).unwrap();
    }
}
