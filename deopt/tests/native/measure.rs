//! What entering, a call through the host, and a deopt cost. Run with
//! `cargo test --release -p surmise-deopt --test native measure -- --ignored --nocapture`.

use crate::enter::{caller, identity};
use crate::exit::failing;
use crate::host::*;
use std::hint::black_box;
use std::time::Instant;
use surmise_deopt::host::GuestResults;
use surmise_ir::entity::UnitId;

/// The best of several rounds: the machine's noise only ever adds.
fn nanoseconds(count: u32, mut body: impl FnMut()) -> f64 {
    let round = |body: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..count).for_each(|_| body());
        start.elapsed().as_nanos() as f64 / count as f64
    };
    (0..20).map(|_| round(&mut body)).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "a measurement"]
fn costs() {
    let (runloop, mut host) = TestHost::new();
    let cells: Vec<_> = (0..4).map(|n| host.unit(UnitId(n)).0).collect();
    host.install(identity(UnitId(0)));
    host.install(failing(UnitId(1)));
    host.install(caller(UnitId(2), cells[3]));
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::default())));
    let enter = nanoseconds(100_000, || {
        black_box(host.enter(&runloop, cells[0], 1, 1));
    });
    let interpreted = nanoseconds(100_000, || {
        black_box(host.enter(&runloop, cells[2], 1, 1));
    });
    host.only_read = true;
    let deopt = nanoseconds(20_000, || {
        black_box(host.enter(&runloop, cells[1], 1, 1));
    });
    black_box(host.checksum);
    println!("enter and return            {enter:7.1} ns");
    println!("with a call through the host {interpreted:6.1} ns");
    println!("enter and deopt, six values {deopt:7.1} ns");
}
