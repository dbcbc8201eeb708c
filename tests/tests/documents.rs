//! The commands of `docs/replay.md` do what stands there.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use surmise_tests::remove_settings;

/// A folder that is gone with its name.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command of a `console` block, and the first line of what it prints there.
fn commands(document: &str) -> Vec<(String, Option<String>)> {
    let mut commands: Vec<(String, Option<String>)> = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        if line.starts_with("```") {
            is_inside = line == "```console";
        } else if is_inside && let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), None));
        } else if is_inside && let Some((_, first @ None)) = commands.last_mut() {
            *first = Some(line.to_owned());
        }
    }
    commands
}

/// The line without what changes with each change of the optimizer: its numbers.
fn without_numbers(line: &str) -> String {
    let mut text: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    while text.contains("00") {
        text = text.replace("00", "0");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_walk_through_a_recording() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let folder = Folder(std::env::temp_dir().join(format!("surmise-documents-{}", std::process::id())));
    let (bin, programs) = (folder.0.join("bin"), folder.0.join("docs/replay"));
    std::fs::create_dir_all(&bin).expect("there is room for temporary files");
    std::fs::create_dir_all(&programs).expect("there is room for temporary files");
    std::fs::copy(docs.join("replay/particles.lua"), programs.join("particles.lua")).expect("it is there");
    symlink(env!("CARGO_BIN_EXE_lua-under-test"), bin.join("lua")).expect("links can be made");
    symlink(env!("CARGO_BIN_EXE_surmise-under-test"), bin.join("surmise")).expect("links can be made");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());

    let document = std::fs::read_to_string(docs.join("replay.md")).expect("the document is there");
    let commands = commands(&document);
    assert!(commands.len() >= 8, "the document has lost its commands");
    for (command, expected) in commands {
        let mut shell = Command::new("sh");
        remove_settings(&mut shell);
        let output = shell.arg("-c").arg(&command).current_dir(&folder.0).env("PATH", &path).output();
        let output = output.expect("there is a shell");
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && errors.is_empty(), "{command}:\n{text}{errors}");
        let found = text.lines().next();
        assert_eq!(found.map(without_numbers), expected.as_deref().map(without_numbers), "{command}");
    }
}
