//! Every filetest gives what it expects.

use std::path::Path;

#[test]
fn filetests() {
    let language =
        surmise_lua::surmise::language::language().unwrap_or_else(|error| panic!("language.sir: {error}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("filetests");
    let bless = std::env::var_os("SURMISE_BLESS").is_some();
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("there is a folder of filetests")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no filetests");
    let failures: Vec<String> = paths
        .iter()
        .filter_map(|path| surmise_tests::filetest::check(path, &language, bless).err())
        .map(|error| error.to_string())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} filetests fail:\n{}",
        failures.len(),
        paths.len(),
        failures.join("\n\n")
    );
}
