//! Deopt tables cost at most 8 bytes a deopt point and 4 a live value, on each of the benchmark programs. What points share (frame
//! headers, reasons, constants) comes on top.

use std::path::Path;
use std::time::Duration;
use surmise_tests::{Mode, programs, run};

const STATISTICS: Mode =
    Mode { name: "statistics", arguments: &["--stats=json"], settings: &[("SURMISE_BLOCKING", "1")] };

#[test]
fn deopt_tables_are_small() {
    let command = Path::new(env!("CARGO_BIN_EXE_lua-under-test"));
    let mut wrong = Vec::new();
    let mut totals = [0; 4];
    for program in programs("benches/programs") {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ran = run(command, STATISTICS, &program, &["2"], Duration::from_secs(120))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let report: serde_json::Value = serde_json::from_str(&ran.errors)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", ran.errors));
        let figure = |name: &str| report["surmise"]["deopt_tables"][name].as_u64().expect("a figure");
        let [points, values, bytes, shared] = ["points", "values", "bytes", "shared_bytes"].map(figure);
        assert!(points > 0, "{name}: nothing was compiled");
        if bytes > 8 * points + 4 * values {
            wrong.push(format!("{name}: {bytes} bytes for {points} points and {values} live values"));
        }
        for (total, figure) in totals.iter_mut().zip([points, values, bytes, shared]) {
            *total += figure;
        }
    }
    let [points, values, bytes, shared] = totals;
    println!("{points} points, {values} live values: {bytes} bytes, and {shared} shared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
