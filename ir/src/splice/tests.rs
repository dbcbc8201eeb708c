//! What is refused, and that it changes nothing. What splicing gives is in `tests/filetests/frames/spliced*.sir`.

use super::*;
use crate::generate;
use crate::text::parse_functions;
use crate::verifier::{Stage, verify};

/// Splices the second function into the first one's only call.
fn spliced(outer: &str, inner: &str) -> Result<Function, NotSpliced> {
    let language = generate::language();
    let text = format!(
        "function \"outer\" unit:1 call registers 5 {{\nblock0:\nv0 = argument r0\n\
         state0 = before @0 {{r0: v0}}\nstate1 = after @0 {{}}\n{outer}\n}}\n\
         function \"inner\" unit:2 {inner}\n}}"
    );
    let functions = parse_functions(&text, &language).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let [mut function, callee] = functions.try_into().expect("two functions");
    let before = function.clone();
    let mut insts = function.insts.iter();
    let call = insts.find(|(_, data)| data.immediate.form() == crate::opcode::ImmediateForm::Call);
    let call = call.map_or(Inst::from_u32(0), |(inst, _)| inst);
    let result = splice(&mut function, call, &callee, &language);
    match result {
        Ok(()) => {
            let violations = verify(&function, &language, Stage::Generic, None);
            assert!(violations.is_empty(), "{violations:?}");
            Ok(function)
        }
        Err(error) => {
            assert_eq!(function, before, "a refused call changes nothing");
            Err(error)
        }
    }
}

const CALL: &str = "v1 = call_guest v0(v0) window r1 wants 1 @0 [state0] after [state1]; return v1";
const INNER: &str = "call registers 2 {\nblock0:\nv0 = argument r0; return v0";

#[test]
fn what_can_be_spliced_is() {
    let function = spliced(CALL, INNER).expect("it can be");
    assert_eq!(function.frames[FrameId::from_u32(1)].window, 2);
    let is_call = |&inst: &Inst| function.insts[inst].opcode == Opcode::CallGuest;
    let mut insts = function.layout.iter().flat_map(|&block| &function.blocks[block].insts);
    assert!(!insts.any(is_call));
}

#[test]
fn a_callee_that_never_returns_leaves_nothing_behind_it() {
    let round = "call registers 2 {\nblock0:\nv0 = argument r0; jump block1\n\
                 block1: state0 = before @3 {r0: v0}; poll [state0]; jump block1";
    let function = spliced(CALL, round).expect("it can be");
    assert_eq!(function.layout.len(), 2);
}

#[test]
fn what_needs_a_window_is_refused() {
    let open =
        "v1 = iconst 2; v2 = call_guest v0(open v1) window r1 wants 1 @0 [state0] after [state1]; return v2";
    assert_eq!(spliced(open, INNER), Err(NotSpliced::OpenArguments));
    let counts = "call registers 2 {\nblock0:\nv0 = argument_count; v1 = box int v0; return v1";
    assert_eq!(spliced(CALL, counts), Err(NotSpliced::CountsArguments));
    let open = "call registers 2 {\nblock0:\nv0 = iconst 2; return_open r0 v0";
    assert_eq!(spliced(CALL, open), Err(NotSpliced::OpenResults));
    let wide = "call registers 65534 {\nblock0:\nv0 = argument r0; return v0";
    assert_eq!(spliced(CALL, wide), Err(NotSpliced::WindowTooLarge));
}

#[test]
fn what_is_no_call_of_a_generic_function_is_refused() {
    assert_eq!(spliced("return v0", INNER), Err(NotSpliced::NoCall));
    let entered = INNER.replace("call registers", "loop @1 registers");
    assert_eq!(spliced(CALL, &entered), Err(NotSpliced::NotEnteredByCall));
    let guess = "call registers 2 {\nblock0:\nv0 = argument r0; state0 = before @0 {}\n\
                 v1 = guard_kind int kind v0 [state0]; return v0";
    assert_eq!(spliced(CALL, guess), Err(NotSpliced::NotGeneric));
}
