//! The official tests of Lua 5.4 pass in the modes that take little time. The command `lua-suite` runs them in all modes.

use std::path::Path;
use std::time::Duration;
use surmise_tests::suite::fetch::{FetchError, fetch};
use surmise_tests::suite::matrix::{QUICK, Setup, failures};

#[test]
fn the_official_tests_pass() {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lua-suite");
    let folder = match fetch(&cache) {
        Ok(folder) => folder,
        Err(error @ FetchError::Unavailable(_)) => {
            println!("skipped: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let setup = Setup {
        command: Path::new(env!("CARGO_BIN_EXE_lua-under-test")),
        folder: &folder,
        scratch: &cache.join("runs"),
        limit: Duration::from_secs(300),
    };
    let rows = setup.run(&[], QUICK, &mut |_, _| {});
    let failures = failures(&rows, QUICK);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
