//! Operations on two operands: arithmetic, bit operations, and comparisons whose values are wanted.

use smallvec::SmallVec;

use super::emit::JumpList;
use super::suffix::Operand;
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};

/// An operation in a chain that is nested on the left.
#[derive(Clone, Copy)]
struct Step {
    operator: BinaryOperator,
    right: ExpressionId,
    line: u32,
}

impl Generator<'_> {
    /// The value of an operation. Chains such as `a + b - c * d + …` are nested on the left to any depth: they are
    /// taken from the inside out in a loop, with every intermediate result in the same register.
    pub(super) fn operation(&mut self, id: ExpressionId, target: u8) -> Generate<()> {
        let start = self.next_register();
        let mut steps: SmallVec<[Step; 8]> = SmallVec::new();
        let mut first = id;
        while let Expression::Binary { operator, left, right, line } = self.ast.expression(first)
            && operator != BinaryOperator::Concat
        {
            steps.push(Step { operator, right, line });
            first = left;
        }
        let mut left = Operand::Expression(first);
        while let Some(step) = steps.pop() {
            let result = if steps.is_empty() { target } else { start };
            self.step(left, step, result)?;
            self.state.free = u32::from(start);
            if !steps.is_empty() {
                self.reserve(1)?;
                left = Operand::Register(start);
            }
        }
        Ok(())
    }

    fn step(&mut self, left: Operand, step: Step, target: u8) -> Generate<()> {
        if step.operator.is_comparison() {
            return self.compared(left, step, target);
        }
        let left_constant = match left {
            Operand::Expression(id) => number(self.ast.expression(id)),
            Operand::Register(_) => None,
        };
        let right_constant = number(self.ast.expression(step.right));
        let instruction = if let Some(constant) = right_constant
            && let Some(instruction) = self.constant_operation(step.operator, constant)
        {
            Instruction { b: self.operand(left)?, ..instruction }
        } else if let (Some(constant), None) = (left_constant, right_constant)
            && is_commutative(step.operator)
            && let Some(instruction) = self.constant_operation(step.operator, constant)
        {
            Instruction { b: self.any(step.right)?, c: 1, ..instruction }
        } else {
            let (left, right) = self.operands(left, step.right)?;
            Instruction::abc(register_operation(step.operator), 0, left, right)
        };
        self.state.line = step.line;
        self.emit(Instruction { a: target, ..instruction });
        Ok(())
    }

    /// A comparison whose value is wanted.
    fn compared(&mut self, left: Operand, step: Step, target: u8) -> Generate<()> {
        let mut truths = JumpList::EMPTY;
        self.comparison(step.operator, left, step.right, step.line, true, &mut truths)?;
        self.emit_abc(Op::LoadFalseSkip, target, 0, 0);
        self.patch_here(truths);
        self.emit_abc(Op::LoadBool, target, 1, 0);
        self.target_here(); // `LoadFalseSkip` leads here
        Ok(())
    }

    /// The operation with a constant on the right, if there is one; the registers are left open.
    fn constant_operation(&mut self, operator: BinaryOperator, constant: Expression) -> Option<Instruction> {
        use BinaryOperator::*;
        if let Expression::Int(int) = constant {
            let immediate = match operator {
                Add => i32::try_from(int).ok().map(|d| (Op::AddInt, d)),
                Sub => i32::try_from(int).ok().map(|d| (Op::SubInt, d)),
                ShiftLeft if (0..=63).contains(&int) => Some((Op::ShiftLeftInt, int as i32)),
                ShiftRight if (0..=63).contains(&int) => Some((Op::ShiftRightInt, int as i32)),
                _ => None,
            };
            if let Some((op, d)) = immediate {
                return Some(Instruction::ad(op, 0, d));
            }
        }
        let op = match (operator, constant) {
            (Add, _) => Op::AddConstant,
            (Sub, _) => Op::SubConstant,
            (Mul, _) => Op::MulConstant,
            (Div, _) => Op::DivConstant,
            (Mod, _) => Op::ModConstant,
            (FloorDiv, _) => Op::FloorDivConstant,
            (Pow, _) => Op::PowConstant,
            (BitAnd, Expression::Int(_)) => Op::BitAndConstant,
            (BitOr, Expression::Int(_)) => Op::BitOrConstant,
            (BitXor, Expression::Int(_)) => Op::BitXorConstant,
            _ => return None,
        };
        let number = self.constant_of(constant)?;
        Some(Instruction::ad(op, 0, number as i32))
    }
}

fn number(expression: Expression) -> Option<Expression> {
    matches!(expression, Expression::Int(_) | Expression::Float(_)).then_some(expression)
}

fn is_commutative(operator: BinaryOperator) -> bool {
    use BinaryOperator::*;
    matches!(operator, Add | Mul | BitAnd | BitOr | BitXor)
}

fn register_operation(operator: BinaryOperator) -> Op {
    use BinaryOperator::*;
    match operator {
        Add => Op::Add,
        Sub => Op::Sub,
        Mul => Op::Mul,
        Mod => Op::Mod,
        Pow => Op::Pow,
        Div => Op::Div,
        FloorDiv => Op::FloorDiv,
        BitAnd => Op::BitAnd,
        BitOr => Op::BitOr,
        BitXor => Op::BitXor,
        ShiftLeft => Op::ShiftLeft,
        ShiftRight => Op::ShiftRight,
        Concat | Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => {
            unreachable!("concatenations and comparisons are compiled elsewhere")
        }
    }
}
