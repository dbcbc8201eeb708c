//! What the type log costs: an event on the interpreter's side, and the same event on the service's, read and joined to the profile.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use surmise::log::{self, Log, RING_EVENTS, UnitIndex};
use surmise::profile::Profile;

const UNIT: UnitIndex = UnitIndex(3);
/// A ring full of the events of a loop with three operations.
const EVENTS: u64 = (RING_EVENTS / 4 * 4) as u64;

fn fill(log: &mut Log) {
    for round in 0..EVENTS / 4 {
        log.loop_(black_box(UNIT), 7);
        log.operands(black_box(UNIT), 8, 2, 2);
        log.operands(black_box(UNIT), 9, 2, 3);
        log.branch(black_box(UNIT), 10, round % 8 != 0);
    }
}

fn log_costs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("write_an_event", |bencher| {
        bencher.iter_batched_ref(Log::default, fill, BatchSize::LargeInput)
    });
    let mut log = Log::default();
    fill(&mut log);
    assert_eq!(log.dropped, 0);
    let records = log.take();
    group.bench_function("read_an_event_into_the_profile", |bencher| {
        bencher.iter_batched_ref(
            Profile::default,
            |profile| profile.add(log::read(&records).expect("the ring holds what was written")),
            BatchSize::LargeInput,
        )
    });
    group.finish();
}

criterion_group!(benches, log_costs);
criterion_main!(benches);
