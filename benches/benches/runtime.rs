//! Entering compiled code and coming back: by returning, by a failed guard with few and with many values, and with inlined frames.

mod common;

use common::{Bench, int, returns};
use criterion::{Criterion, criterion_group, criterion_main};
use std::fmt::Write as _;
use surmise::deopt::runloop::Outcome;
use surmise_tests::native::Installed;

const IDENTITY: &str = "function \"identity\" unit:0000000000000001 call registers 2 {
block0:
  v0 = argument r0
  state0 = before @0 {r0: v0}
  poll [state0]
  return v0
}";

/// A guard that fails with so many values of the argument's multiples, in this many frames.
fn failing(values: usize, frames: usize) -> String {
    let mut text = "function \"failing\" unit:0000000000000001 call registers 40 {\n".to_owned();
    // Writing to a string can't fail.
    for frame in 1..frames {
        let _ = writeln!(
            text,
            "  frame{frame} = unit:000000000000000{frame} parent frame{} window {} registers 2",
            frame - 1,
            38 + 2 * frame
        );
    }
    text += "block0:\n  v0 = argument r0\n  v1 = unbox int v0\n";
    for value in 0..values {
        let (constant, product, boxed) = (2 + 3 * value, 3 + 3 * value, 4 + 3 * value);
        let _ = write!(text, "  v{constant} = iconst {}\n  v{product} = imul v1, v{constant}\n", value + 2);
        let _ = writeln!(text, "  v{boxed} = box int v{product}");
    }
    let registers: Vec<String> = (0..values).map(|value| format!("r{value}: v{}", 4 + 3 * value)).collect();
    let when = |frame: usize| if frame + 1 == frames { "before" } else { "after" };
    let _ = writeln!(text, "  state0 = {} @0 {{{}}}", when(0), registers.join(", "));
    for frame in 1..frames {
        let _ = writeln!(
            text,
            "  state{frame} = frame{frame} callee v0 {} @{frame} {{r0: v0}} parent state{}",
            when(frame),
            frame - 1
        );
    }
    let _ = write!(text, "  v1000 = guard_kind float kind v0 [state{}]\n  return v0\n}}", frames - 1);
    text
}

/// A run that has to leave by a guard.
fn leaves(installed: &mut Installed<'_>) {
    match installed.enter() {
        Outcome::Resumed => {}
        other => panic!("{other:?} instead of rebuilt frames"),
    }
}

fn runtime(criterion: &mut Criterion) {
    let mut bench = Bench::new();
    let mut group = criterion.benchmark_group("runtime");
    bench.with(IDENTITY, &[int(5)], |installed| {
        assert_eq!(returns(installed), [2, 5]);
        group.bench_function("enter_and_return", |bencher| bencher.iter(|| returns(installed)));
    });
    for (name, values, frames) in [
        ("enter_and_deopt_1_value", 1, 1),
        ("enter_and_deopt_8_values", 8, 1),
        ("enter_and_deopt_32_values", 32, 1),
        ("enter_and_deopt_3_frames", 8, 3),
    ] {
        bench.with(&failing(values, frames), &[int(5)], |installed| {
            group.bench_function(name, |bencher| bencher.iter(|| leaves(installed)));
            assert!(installed.exits() > 0);
        });
    }
    group.finish();
}

criterion_group!(benches, runtime);
criterion_main!(benches);
