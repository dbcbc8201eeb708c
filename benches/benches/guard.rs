//! What a type guard costs in a loop that does little else: the same loop with the payload read after a guard, and read without.
//! (That the guard is one compare and one branch that is not taken is a test of the lowering.)

mod common;

use common::{Bench, int, returns};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROUNDS: u64 = 100_000;

/// Adds the value of a register that is read again each round: its kind is not known from the round before.
fn sum_loop(payload: &str) -> String {
    format!(
        "function \"sum\" unit:0000000000000001 call registers 4 {{
block0:
  v0 = argument r0
  v1 = argument r1
  state0 = before @0 {{r0: v0, r1: v1}}
  poll [state0]
  v2 = guard_kind int argument v0 [state0]
  v3 = iconst 0
  v4 = iconst 1
  jump block1(v2, v3)
block1(v5: i64, v6: i64):
  v7 = load_window r1
  v8 = box int v5
  v9 = box int v6
  state1 = before @1 {{r0: v8, r1: v7, r2: v9}}
  v10 = {payload}
  v11 = iadd v6, v10
  v12 = isub v5, v4
  v13 = icmp gt v12, v3
  branch v13 -> block1(v12, v11), block2
block2:
  v14 = box int v11
  return v14
}}"
    )
}

fn guard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guard");
    group.throughput(Throughput::Elements(ROUNDS));
    let mut bench = Bench::new();
    for (name, payload) in
        [("round_without_guard", "unbox int v7"), ("round_with_guard", "guard_kind int kind v7 [state1]")]
    {
        bench.with(&sum_loop(payload), &[int(ROUNDS as i64), int(3)], |installed| {
            assert_eq!(returns(installed)[1], 3 * ROUNDS);
            group.bench_function(name, |bencher| bencher.iter(|| returns(installed)));
        });
    }
    group.finish();
}

criterion_group!(benches, guard);
criterion_main!(benches);
