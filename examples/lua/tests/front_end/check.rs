//! An independent checker of bytecode: what the interpreter takes for granted, checked on every path.
//!
//! * operands are in range; jumps stay inside, and conditional ones lead forward;
//! * control does not run off the end;
//! * a register is written before it is read, holds a cell exactly where a cell is expected, and is below `register_count`;
//! * what sets the dynamic top is followed at once by what uses it.

use std::collections::HashSet;

use surmise_lua::bytecode::{Instruction, Op, UpvalueSource};
use surmise_lua::compiler::{Constant, Function};

/// What is known of a register.
#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Undefined,
    Value,
    Cell,
    /// Depends on the way that was taken.
    Mixed,
}

struct Checker<'f> {
    function: &'f Function,
    outer: Option<&'f Function>,
}

/// Checks a function and those inside it.
pub fn check(function: &Function) -> Result<(), String> {
    check_inside(function, None)
}

fn check_inside(function: &Function, outer: Option<&Function>) -> Result<(), String> {
    let checker = Checker { function, outer };
    checker.run().map_err(|error| format!("{error}\n{}", surmise_lua::listing::list(function)))?;
    function.children.iter().try_for_each(|child| check_inside(child, Some(function)))
}

fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}

impl Checker<'_> {
    fn run(&self) -> Result<(), String> {
        let function = self.function;
        ensure(function.lines.len() == function.code.len(), || "a line for each instruction".into())?;
        ensure(self.outer.is_some() || function.upvalues.len() == 1, || "the chunk has one upvalue".into())?;
        for key in &function.caches {
            let constant = function.constants.get(*key as usize);
            let is_name = matches!(constant, Some(Constant::String(name)) if name.len() <= 40);
            ensure(is_name, || format!("key {key} is no name"))?;
        }
        for local in &function.locals {
            let ordered = local.start <= local.end && local.end as usize <= function.code.len();
            ensure(ordered && local.register < function.register_count, || format!("local {}", local.name))?;
        }
        let count = function.register_count as usize;
        let mut entry = vec![State::Undefined; count];
        entry.iter_mut().take(function.parameter_count as usize).for_each(|state| *state = State::Value);
        let mut states: Vec<Option<Vec<State>>> = vec![None; function.code.len()];
        states[0] = Some(entry);
        let mut work = vec![0usize];
        while let Some(pc) = work.pop() {
            let Some(mut state) = states[pc].clone() else { continue };
            let mut next = Vec::new();
            self.step(pc, &mut state, &mut next).map_err(|error| format!("at {pc}: {error}"))?;
            for (target, state) in next {
                ensure(target < function.code.len(), || format!("at {pc}: control leaves the code"))?;
                let merged = match &states[target] {
                    None => state,
                    Some(old) => old.iter().zip(&state).map(|(a, b)| join(*a, *b)).collect(),
                };
                if states[target].as_ref() != Some(&merged) {
                    states[target] = Some(merged);
                    work.push(target);
                }
            }
        }
        Ok(())
    }

    /// What follows the instruction at `pc`, with the state that it leaves.
    fn step(
        &self,
        pc: usize,
        state: &mut Vec<State>,
        next: &mut Vec<(usize, Vec<State>)>,
    ) -> Result<(), String> {
        use Op::*;
        let Instruction { op, a, b, c, d } = self.function.code[pc];
        let (ra, rb, rc) = (a as usize, b as usize, c as usize);
        let target = (pc as i64 + 1 + i64::from(d)) as usize;
        if self.opens_top(pc) {
            ensure(self.function.code.get(pc + 1).is_some_and(|next| uses_top(*next)), || {
                "unused top".into()
            })?;
        }
        if uses_top(self.function.code[pc]) {
            ensure(pc > 0 && self.opens_top(pc - 1), || "no top".into())?;
        }
        self.operands(pc)?;
        let mut falls = true;
        match op {
            Move | Negate | Not | Length | BitNot => {
                read(state, rb)?;
                write(state, ra)?;
            }
            LoadNil => write_all(state, ra, rb + 1)?,
            LoadBool | LoadInt | LoadConstant | GetUpvalue | GetUpvalueCell | GetGlobal | GetUpvalueField => {
                write(state, ra)?;
            }
            LoadFalseSkip => {
                write(state, ra)?;
                next.push((pc + 2, state.clone()));
                falls = false;
            }
            SetUpvalueCell | SetGlobal => read(state, ra)?,
            NewCell => {
                read(state, ra)?;
                state[ra] = State::Cell;
            }
            GetCell => {
                read_cell(state, rb)?;
                write(state, ra)?;
            }
            SetCell => {
                read_cell(state, ra)?;
                read(state, rb)?;
            }
            GetField | GetInt => {
                read(state, rb)?;
                write(state, ra)?;
            }
            SetField | SetInt => read_all(state, &[ra, rb])?,
            SetFieldConstant => read(state, ra)?,
            GetIndex => {
                read_all(state, &[rb, rc])?;
                write(state, ra)?;
            }
            SetIndex => read_all(state, &[ra, rb, rc])?,
            SetIndexConstant => read_all(state, &[ra, rb])?,
            GetMethod => {
                read(state, rb)?;
                write_all(state, ra, 2)?;
            }
            NewTable => write(state, ra)?,
            SetList => {
                read(state, ra)?;
                read_run(state, ra + 1, rb)?;
            }
            Add | Sub | Mul | Div | Mod | Pow | FloorDiv | BitAnd | BitOr | BitXor | ShiftLeft
            | ShiftRight => {
                read_all(state, &[rb, rc])?;
                write(state, ra)?;
            }
            AddConstant | SubConstant | MulConstant | DivConstant | ModConstant | FloorDivConstant
            | PowConstant | BitAndConstant | BitOrConstant | BitXorConstant | AddInt | SubInt
            | ShiftLeftInt | ShiftRightInt => {
                read(state, rb)?;
                write(state, ra)?;
            }
            Concat => {
                ensure(rc >= 2, || "too few operands".into())?;
                read_run(state, rb, rc)?;
                write(state, ra)?;
            }
            Jump | JumpBack => {
                ensure((d >= 0) == (op == Jump), || "wrong direction".into())?;
                next.push((target, state.clone()));
                falls = false;
            }
            Test | EqualConstant | EqualInt | LessInt | LessEqualInt | GreaterInt | GreaterEqualInt => {
                read(state, ra)?;
                self.forward(d)?;
                next.push((target, state.clone()));
            }
            TestSet => {
                read(state, rb)?;
                self.forward(d)?;
                let mut taken = state.clone();
                write(&mut taken, ra)?;
                next.push((target, taken));
            }
            Equal | Less | LessEqual => {
                read_all(state, &[ra, rb])?;
                self.forward(d)?;
                next.push((target, state.clone()));
            }
            Call | TailCall => {
                read(state, ra)?;
                read_run(state, ra + 1, rb.saturating_sub(1))?;
                state.iter_mut().skip(ra).for_each(|state| *state = State::Undefined);
                write_all(state, ra, rc.saturating_sub(1))?;
                falls = op == Call;
            }
            Return => {
                read_run(state, ra, rb.saturating_sub(1))?;
                falls = false;
            }
            ReturnNone => falls = false,
            ReturnOne => {
                read(state, ra)?;
                falls = false;
            }
            ForPrepare => {
                read_run(state, ra, 3)?;
                self.forward(d)?;
                next.push((target, state.clone()));
                write(state, ra + 3)?;
            }
            ForLoop => {
                read_run(state, ra, 3)?;
                let mut again = state.clone();
                write(&mut again, ra + 3)?;
                next.push((target, again));
            }
            ForGenericPrepare => {
                read_run(state, ra, 4)?;
                next.push((target, state.clone()));
                ensure(self.function.code.get(target).is_some_and(|i| i.op == ForCall), || {
                    "no ForCall".into()
                })?;
                falls = false;
            }
            ForCall => {
                read_run(state, ra, 4)?;
                ensure(ra + 6 < state.len(), || "no room for the call".into())?;
                write_all(state, ra + 4, rc)?;
                ensure(self.function.code.get(pc + 1).is_some_and(|i| i.op == ForGenericLoop), || {
                    "no loop".into()
                })?;
            }
            ForGenericLoop => {
                read(state, ra + 4)?;
                next.push((target, state.clone()));
            }
            Closure => {
                let child = self.function.children.get(d as usize).ok_or("no such child")?;
                for upvalue in &child.upvalues {
                    match upvalue.source {
                        UpvalueSource::Register(register) if upvalue.is_cell => {
                            read_cell(state, register.into())?
                        }
                        UpvalueSource::Register(register) => read(state, register.into())?,
                        UpvalueSource::Upvalue(number) => {
                            let outer =
                                self.function.upvalues.get(number as usize).ok_or("no such upvalue")?;
                            ensure(outer.is_cell == upvalue.is_cell, || format!("upvalue {}", upvalue.name))?;
                        }
                        UpvalueSource::Itself => ensure(!upvalue.is_cell, || "a cell of itself".into())?,
                    }
                }
                write(state, ra)?;
            }
            VarArg => {
                ensure(self.function.is_vararg, || "no variable arguments".into())?;
                write_all(state, ra, rc.saturating_sub(1))?;
            }
            ToBeClosed => read(state, ra)?,
            Close => ensure(ra < state.len(), || "register".into())?,
        }
        if falls {
            next.push((pc + 1, std::mem::take(state)));
        }
        Ok(())
    }

    fn forward(&self, d: i32) -> Result<(), String> {
        ensure(d >= 0, || "a conditional jump leads back".into())
    }

    /// Whether the instruction leaves a dynamic number of values.
    fn opens_top(&self, pc: usize) -> bool {
        let instruction = self.function.code[pc];
        matches!(instruction.op, Op::Call | Op::VarArg) && instruction.c == 0
    }

    /// Checks operands that are not registers.
    fn operands(&self, pc: usize) -> Result<(), String> {
        use Op::*;
        let Instruction { op, a, b, c, d } = self.function.code[pc];
        let function = self.function;
        let upvalue = |cell: Option<bool>| {
            let found = function.upvalues.get(b as usize);
            ensure(found.is_some_and(|u| cell.is_none_or(|cell| cell == u.is_cell)), || {
                format!("upvalue {b}")
            })
        };
        let constant = |number: usize| function.constants.get(number).ok_or(format!("constant {number}"));
        let cache = || ensure((d as usize) < function.caches.len(), || format!("cache {d}"));
        match op {
            LoadConstant | SetIndexConstant => constant(d as usize).map(drop),
            GetUpvalue => upvalue(Some(false)),
            GetUpvalueCell | SetUpvalueCell => upvalue(Some(true)),
            GetGlobal | SetGlobal => {
                let name = &function.upvalues.get(b as usize).ok_or("upvalue")?.name;
                ensure(&**name == "_ENV", || "a global of something else".into())?;
                upvalue(Some(false)).and(cache())
            }
            GetUpvalueField => upvalue(Some(false)).and(cache()),
            GetField | SetField | GetMethod => cache(),
            SetFieldConstant => constant(b as usize + 256 * c as usize).map(drop).and(cache()),
            EqualConstant => constant(b as usize).map(drop),
            AddConstant | SubConstant | MulConstant | DivConstant | ModConstant | FloorDivConstant
            | PowConstant => {
                let number = matches!(constant(d as usize)?, Constant::Int(_) | Constant::Float(_));
                ensure(number, || "no number".into())
            }
            BitAndConstant | BitOrConstant | BitXorConstant => {
                ensure(matches!(constant(d as usize)?, Constant::Int(_)), || "no integer".into())
            }
            LoadNil => ensure(u32::from(a) + u32::from(b) < 255, || "registers".into()),
            _ => Ok(()),
        }
    }
}

fn uses_top(instruction: Instruction) -> bool {
    matches!(instruction.op, Op::Call | Op::TailCall | Op::Return | Op::SetList) && instruction.b == 0
}

fn join(a: State, b: State) -> State {
    match (a, b) {
        _ if a == b => a,
        // Whoever reads it would be told so on one of the ways.
        (State::Undefined, _) | (_, State::Undefined) => State::Undefined,
        _ => State::Mixed,
    }
}

fn read(state: &[State], register: usize) -> Result<(), String> {
    match state.get(register) {
        Some(State::Value) => Ok(()),
        other => Err(format!("register {register} is read as a value, but is {other:?}")),
    }
}

fn read_cell(state: &[State], register: usize) -> Result<(), String> {
    match state.get(register) {
        Some(State::Cell) => Ok(()),
        other => Err(format!("register {register} is read as a cell, but is {other:?}")),
    }
}

fn read_all(state: &[State], registers: &[usize]) -> Result<(), String> {
    registers.iter().try_for_each(|register| read(state, *register))
}

fn read_run(state: &[State], first: usize, count: usize) -> Result<(), String> {
    (first..first + count).try_for_each(|register| read(state, register))
}

fn write(state: &mut [State], register: usize) -> Result<(), String> {
    *state.get_mut(register).ok_or(format!("register {register} does not exist"))? = State::Value;
    Ok(())
}

fn write_all(state: &mut [State], first: usize, count: usize) -> Result<(), String> {
    (first..first + count).try_for_each(|register| write(state, register))
}

/// Operations that occur in a function and those inside it.
pub fn operations(function: &Function, found: &mut HashSet<Op>) {
    found.extend(function.code.iter().map(|instruction| instruction.op));
    function.children.iter().for_each(|child| operations(child, found));
}
