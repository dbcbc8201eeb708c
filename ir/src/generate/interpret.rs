//! The interpreter of random programs. It can be entered at any resume point.

use super::language::{CELL, Logged, NIL, World, extern_, guest, is_value};
use super::program::{Code, Program, Test};
use crate::entity::Pc;
use crate::evaluate::{Boxed, Datum, RebuiltFrame, Results, Stop};
use crate::frame_state::When;
use crate::language::Language;

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// With this value.
    Returned(Boxed),
    /// With an error.
    Thrown,
    /// It stands before the instruction at which it was to stop.
    Stopped,
    /// Not within the limit of steps.
    OutOfSteps,
}

/// An interpreter frame.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    /// The next instruction.
    pub pc: Pc,
    /// All registers.
    pub registers: Vec<Boxed>,
}

impl Frame {
    /// The frame of a call.
    pub fn new(program: &Program, args: &[Boxed]) -> Frame {
        let mut registers = vec![NIL; program.register_count.into()];
        registers[..args.len()].copy_from_slice(args);
        Frame { pc: Pc(0), registers }
    }
    /// The frame that a deoptimization left, its pending results delivered. `None` if the frame makes no sense, which is a bug
    /// of whoever rebuilt it. Registers that are not live hold something that must not matter.
    pub fn resumed(program: &Program, rebuilt: &RebuiltFrame) -> Option<Frame> {
        let poison = [CELL, 0xdead_0000];
        let mut frame =
            Frame { pc: rebuilt.resume.pc, registers: vec![poison; program.register_count.into()] };
        for &(register, value) in &rebuilt.registers {
            *frame.registers.get_mut(usize::from(register.0))? = value;
        }
        if rebuilt.resume.when == When::Before {
            return (rebuilt.results == Results::Values(Vec::new())).then_some(frame);
        }
        let result = match &rebuilt.results {
            Results::Values(values) => match values[..] {
                [] => None,
                [value] => Some(Datum::Any(value)),
                _ => return None,
            },
            Results::Extern(result) => *result,
            Results::Guest { first, .. } => first.map(Datum::Any),
        };
        frame.finish(*program.code.get(rebuilt.resume.pc.0 as usize)?, result)?;
        Some(frame)
    }
    /// What is left of an instruction when its operation has happened: its result is delivered.
    fn finish(&mut self, code: Code, result: Option<Datum>) -> Option<()> {
        self.pc.0 += 1;
        let wanted = match (code, result) {
            (Code::Binary(_, a, ..) | Code::Get(a, _), Some(Datum::Any(value))) => Some((a, value)),
            (Code::NewCell(a, _), Some(Datum::Ref(object))) => Some((a, [CELL, object])),
            (Code::Call { result: Some(a), .. }, Some(Datum::Any(value))) => Some((a, value)),
            (Code::Call { result: None, .. } | Code::Set(..) | Code::Observe(_), _) => None,
            (Code::JumpIf(_, wanted, target), Some(Datum::I1(answer))) => {
                if answer == wanted {
                    self.pc = Pc(target);
                }
                None
            }
            _ => return None,
        };
        if let Some((register, value)) = wanted {
            self.registers[usize::from(register)] = value;
        }
        Some(())
    }
}

/// Runs a frame to its end, or to just before it would come to `stop` (not counting its first instruction).
pub fn interpret(
    program: &Program,
    language: &Language,
    world: &mut World<'_>,
    frame: &mut Frame,
    stop: Option<Pc>,
    limit: u64,
) -> End {
    for step in 0..limit {
        if step > 0 && stop == Some(frame.pc) {
            return End::Stopped;
        }
        let code = program.code[frame.pc.0 as usize];
        let register = |register: u16| frame.registers[usize::from(register)];
        let (memory, seen) = (&mut world.host.memory, &world.observations);
        let mut operands = Vec::new();
        let mut call = |name: &str, args: &[Boxed]| {
            operands.extend_from_slice(args);
            debug_assert!(args.iter().all(|&arg| is_value(language, arg)));
            let args: Vec<Datum> = args.iter().map(|&arg| Datum::Any(arg)).collect();
            extern_(language, name, memory, seen, &args)
        };
        let result = match code {
            Code::Constant(a, value) => {
                frame.registers[usize::from(a)] = value;
                frame.pc.0 += 1;
                continue;
            }
            Code::Move(a, b) => {
                frame.registers[usize::from(a)] = register(b);
                frame.pc.0 += 1;
                continue;
            }
            Code::Jump(target) => {
                frame.pc = Pc(target);
                continue;
            }
            Code::Return(a) => return End::Returned(register(a)),
            Code::Binary(name, _, b, c) => call(&format!("slow_{name}"), &[register(b), register(c)]),
            Code::NewCell(_, b) => call("new_cell", &[register(b)]),
            Code::Get(_, b) => call("slow_get", &[register(b)]),
            Code::Set(a, b) => call("slow_set", &[register(a), register(b)]),
            Code::Observe(a) => call("observe", &[register(a)]),
            Code::JumpIf(Test::Less(a, b), ..) => call("slow_less", &[register(a), register(b)]),
            Code::JumpIf(Test::Truthy(a), ..) => call("slow_truthy", &[register(a)]),
            Code::Call { first, count, .. } => {
                let args: Vec<Boxed> = (first..first + count).map(register).collect();
                operands.clone_from(&args);
                Ok(Some(Datum::Any(guest(language, &*memory, seen, &args))))
            }
        };
        if let (Some(log), Ok(result)) = (&mut world.log, &result) {
            log.push(Logged { pc: frame.pc, operands, result: *result });
        }
        match result {
            Ok(result) => frame.finish(code, result).expect("the instruction takes its own result"),
            Err(Stop::Throw) => return End::Thrown,
            Err(Stop::Fault(message)) => unreachable!("{code:?}: {message}"),
        }
    }
    End::OutOfSteps
}
