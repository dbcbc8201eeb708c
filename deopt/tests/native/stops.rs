//! Loud stops, each in a process of its own: the test runs itself again with the name of a case in its environment.

use crate::assembler::*;
use crate::enter::calling_back;
use crate::exit::failing;
use crate::host::*;
use std::process::Command;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::host::GuestResults;
use surmise_deopt::table::DeoptPoint;
use surmise_ir::entity::UnitId;

const CASE: &str = "SURMISE_TEST_STOP";

/// Enters a candidate whose callback asks for the roots.
fn collect_in(image: CandidateImage) {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    host.install(image);
    host.callback = Some(Box::new(|host, _, _| {
        host.move_roots(0);
        Ok(0)
    }));
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::default())));
    host.enter(&runloop, cell, 1, 0);
}

fn run(case: &str) {
    match case {
        "unknown call site" => {
            let mut image = calling_back(UnitId(1), 0);
            image.calls.sites[0].return_offset -= 1;
            collect_in(image);
        }
        "unknown address" => {
            // A caller's return address that is in no candidate: the frame's link is broken.
            let mut code = Assembler::new();
            // mov qword ptr [rbp + 8], 0x1000
            code.bytes(&[0x48, 0xc7, 0x45, 0x08, 0x00, 0x10, 0, 0]).call_extern(CALLBACK, &[]).return_();
            collect_in(code.finish("broken link", UnitId(1), &[]));
        }
        "wrong frame size" => {
            let mut image = calling_back(UnitId(1), 0);
            image.frame_size += 16;
            collect_in(image);
        }
        "unknown deopt point" => {
            let mut image = failing(UnitId(1));
            let point = image.deopt.points[0];
            image.deopt.points[0] = DeoptPoint::pack(point.return_offset() - 1, point.state(), point.exit())
                .expect("it is smaller than before");
            collect_in(image);
        }
        "no exit recorded" => {
            // A call without the exit pointers, as of a function declared without effects.
            let mut code = Assembler::new();
            code.load_home(RDI, CONTEXT).load(RAX, RDI, surmise_deopt::context::offsets::EXTERNS);
            code.load(RAX, RAX, 0).bytes(&[0xff, 0xd0]).return_();
            collect_in(code.finish("leaf", UnitId(1), &[]));
        }
        "a panic while committing" => {
            let (runloop, mut host) = TestHost::new();
            let (cell, _) = host.unit(UnitId(1));
            host.install(failing(UnitId(1)));
            host.committed = Vec::new();
            host.panic_in_commit = true;
            host.enter(&runloop, cell, 1, 0);
        }
        "no landing pad" => {
            let (runloop, mut host) = TestHost::new();
            let (cell, _) = host.unit(UnitId(1));
            host.install(calling_back(UnitId(1), 0));
            host.callback = Some(Box::new(|host, _, _| {
                crate::deopt_all::deopt_all(host);
                Ok(0)
            }));
            host.enter(&runloop, cell, 1, 0);
        }
        "entered while away" => {
            let (runloop, mut host) = TestHost::new();
            let (cell, _) = host.unit(UnitId(1));
            host.install(calling_back(UnitId(1), 0));
            // SAFETY: outside of compiled code.
            unsafe { runloop.leave() };
            host.enter(&runloop, cell, 1, 0);
        }
        "entered on another thread" => {
            let (runloop, mut host) = TestHost::new();
            let (cell, _) = host.unit(UnitId(1));
            host.install(calling_back(UnitId(1), 0));
            struct Carried<T>(T);
            // SAFETY: that it is not is what is tested; the owner waits meanwhile.
            unsafe impl<T> Send for Carried<T> {}
            let carried = Carried((&runloop, &mut host, cell));
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let Carried((runloop, host, cell)) = &mut { carried };
                    host.enter(runloop, cell, 1, 0);
                });
            });
        }
        "back without having left" => {
            let (runloop, _host) = TestHost::new();
            runloop.come_back();
        }
        "dropped while active" => {
            let (runloop, mut host) = TestHost::new();
            let (cell, _) = host.unit(UnitId(1));
            host.install(calling_back(UnitId(1), 0));
            let mut guard = Some(runloop);
            // SAFETY: used only while the guard is alive, but for what is tested.
            let alias = unsafe { guard.as_ref().expect("just made").alias() };
            host.callback = Some(Box::new(move |_, _, _| {
                drop(guard.take());
                Ok(0)
            }));
            host.enter(&alias, cell, 1, 0);
        }
        _ => panic!("no case '{case}'"),
    }
    panic!("it ran on");
}

fn expect_stop(case: &str, messages: &[&str]) {
    if let Ok(asked) = std::env::var(CASE) {
        if asked == case {
            run(case);
        }
        return;
    }
    let program = std::env::current_exe().expect("the test's own path");
    let output = Command::new(program)
        .args(["--exact", "stops::broken_invariants_stop_the_process", "--nocapture", "--test-threads=1"])
        .env(CASE, case)
        .output()
        .expect("the test runs again");
    let text = String::from_utf8_lossy(&output.stderr);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{case}: {text}");
    for message in messages {
        assert!(text.contains(message), "{case}: '{message}' is not in: {text}");
    }
}

#[test]
fn broken_invariants_stop_the_process() {
    expect_stop(
        "unknown call site",
        &["candidate0 'calling back'", "unit:0000000000000001", "offset 0x", "neither a call site"],
    );
    expect_stop("unknown address", &["return address 0x1000 belongs to no candidate (1 frames walked"]);
    expect_stop("wrong frame size", &["candidate0 'calling back'", "has 128 bytes instead of 144"]);
    expect_stop("unknown deopt point", &["an exit from offset", "candidate0 'failing'", "no deopt point"]);
    expect_stop("no exit recorded", &["did not record where it was left"]);
    expect_stop(
        "no landing pad",
        &[
            "candidate0 'calling back' of unit:0000000000000001 can't be redirected",
            "call 0",
            "no landing pad",
        ],
    );
    expect_stop("entered while away", &["whose thread is away in native code"]);
    expect_stop("entered on another thread", &["on another thread than its runloop was registered on"]);
    expect_stop("back without having left", &["comes back from native code that it did not go into"]);
    expect_stop("a panic while committing", &["commit fails"]);
    expect_stop("dropped while active", &["dropped while compiled frames are on its stack"]);
}
