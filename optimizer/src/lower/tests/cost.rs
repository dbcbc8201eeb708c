//! What lowering costs: memory, and time. The measurements are ignored unless asked for:
//! `cargo test --release -p surmise lower::tests::cost -- --ignored --nocapture`.

use super::super::target::{Scratch, with_scratch};
use super::super::{LowerSettings, Target, Translator, lower, unit_signature};
use super::languages::*;
use surmise_ir::entity::*;
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::*;
use surmise_ir::language::Encoding;
use surmise_ir::opcode::*;
use surmise_ir::types::Type;

/// A loop over `live` registers with `steps` steps; each guards a register's kind, computes, and boxes again.
fn guarded_loop(live: usize, steps: usize, polls: bool) -> Maker {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 64);
    let start: Vec<Value> = (0..live as u16).map(|register| maker.argument(register)).collect();
    let zero = maker.int(0);
    let (entry, head) = (maker.block, maker.function.add_block());
    let (body, done) = (maker.function.add_block(), maker.function.add_block());
    let mut values: Vec<Value> = (0..live).map(|_| maker.function.add_param(head, Type::Any)).collect();
    let index = maker.function.add_param(head, Type::I64);
    maker.block = entry;
    maker.jump(head, &[start, vec![zero]].concat());
    maker.block = head;
    let limit = maker.int(1000);
    let is_more = maker.value(Opcode::Icmp, &[index, limit], Immediate::IntCondition(IntCondition::Less));
    maker.branch(is_more, (body, &[]), (done, &[]));
    maker.block = body;
    if polls {
        let state = maker.state(ResumePoint::before(Pc(1)), &values);
        let mut poll = InstData::new(Opcode::Poll, &[], Immediate::None);
        poll.state = Some(state);
        maker.add(poll);
    }
    for step in 0..steps {
        let (a, b) = (step % live, (step + 3) % live);
        let state = maker.state(ResumePoint::before(Pc(step as u32 + 2)), &values);
        let x = maker.guard_kind("int", values[a], state);
        let y = maker.unbox("int", values[b]);
        let factor = maker.int(3 + 2 * step as i64);
        let product = maker.op(Opcode::Imul, &[x, factor]);
        let sum = maker.op(Opcode::Iadd, &[product, y]);
        values[a] = maker.boxed(sum);
    }
    let one = maker.int(1);
    let next = maker.op(Opcode::Iadd, &[index, one]);
    maker.jump(head, &[values, vec![next]].concat());
    maker.block = done;
    let index = maker.boxed(index);
    maker.ret(&[index]);
    maker
}

/// Seconds that this thread has run: the machine may be busy with other things.
fn thread_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is there to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The buffers that a thread keeps don't grow with the functions that it has compiled.
#[test]
fn buffers_hold_one_function() {
    let target = Target::with_verifier(false).unwrap();
    let maker = guarded_loop(4, 10, true);
    let exits_kept = || {
        lower(&maker.function, &maker.language, &LowerSettings::default(), &target).unwrap();
        with_scratch(|scratch| scratch.context.func.dfg.exception_tables.len())
    };
    let first = exits_kept();
    assert!(first > 0);
    assert_eq!(exits_kept(), first);
}

#[test]
#[ignore = "a measurement"]
fn compile_time() {
    let target = Target::with_verifier(false).unwrap();
    for (live, steps, polls) in
        [(8, 1, true), (8, 10, true), (8, 100, true), (20, 100, false), (20, 100, true), (8, 1000, true)]
    {
        let maker = guarded_loop(live, steps, polls);
        let settings = LowerSettings::default();
        let mut best = f64::MAX;
        for _ in 0..20 {
            let start = thread_time();
            std::hint::black_box(lower(&maker.function, &maker.language, &settings, &target).unwrap());
            best = best.min(thread_time() - start);
        }
        let mut translation = f64::MAX;
        for _ in 0..20 {
            let start = thread_time();
            let mut scratch = Scratch::default();
            scratch.context.func.signature = unit_signature();
            Translator::translate(&maker.function, &maker.language, &settings, &target, &mut scratch)
                .unwrap();
            translation = translation.min(thread_time() - start);
        }
        let lowered = lower(&maker.function, &maker.language, &settings, &target).unwrap();
        let statistics = lowered.statistics;
        println!(
            "{live} live, {steps} guards, polls {polls}: {:.0} us ({:.0} of them before the code generator), \
             {:.2} us an instruction ({}), {} bytes, {:.1} a guard; table {} bytes a guard",
            best * 1e6,
            translation * 1e6,
            best * 1e6 / statistics.instructions as f64,
            statistics.instructions,
            statistics.code_bytes,
            statistics.code_bytes as f64 / steps as f64,
            (lowered.image.deopt.states.len() * 4
                + lowered.image.deopt.points.len() * 8
                + lowered.image.deopt.headers.len() * 32)
                / steps,
        );
    }
    let settings = LowerSettings { listing: true, ..LowerSettings::default() };
    let maker = guarded_loop(8, 6, true);
    println!("{}", lower(&maker.function, &maker.language, &settings, &target).unwrap().listing.unwrap());
}

/// Something for a profiler to look at.
#[test]
#[ignore = "a measurement"]
fn compile_small_functions_again_and_again() {
    let target = Target::with_verifier(false).unwrap();
    let maker = guarded_loop(8, 1, true);
    let start = thread_time();
    for _ in 0..2000 {
        std::hint::black_box(
            lower(&maker.function, &maker.language, &LowerSettings::default(), &target).unwrap(),
        );
    }
    println!("{:.0} us each", (thread_time() - start) * 500.0);
}
