//! Conditions: expressions as jumps, and the values of `and`, `or`, `not` and comparisons.

use smallvec::SmallVec;

use super::emit::JumpList;
use super::suffix::Operand;
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};

/// Whether an expression is made of jumps even where its value is wanted.
pub fn is_logical(ast: &Ast, expression: Expression) -> bool {
    match expression {
        Expression::And { .. } | Expression::Or { .. } => true,
        Expression::Binary { operator, .. } => operator.is_comparison(),
        Expression::Unary { operator: UnaryOperator::Not, operand, .. } => {
            is_logical(ast, ast.expression(operand))
        }
        _ => false,
    }
}

/// The operands of a chain of equal connectives, from left to right; the last one apart.
struct Chain {
    front: SmallVec<[ExpressionId; 4]>,
    last: ExpressionId,
    /// The truth that decides the chain: false for `and`, true for `or`.
    decisive: bool,
}

/// The ways out of a logical expression whose value is wanted.
struct Exits {
    /// The target holds the value already.
    valued: JumpList,
    /// The value is `true`.
    truths: JumpList,
    /// The value is `false`.
    falsehoods: JumpList,
}

impl Exits {
    fn boolean(&mut self, truth: bool) -> &mut JumpList {
        if truth { &mut self.truths } else { &mut self.falsehoods }
    }
}

impl Generator<'_> {
    /// Takes a chain apart without recursion on its left, however long it is.
    fn chain(&self, id: ExpressionId) -> Option<Chain> {
        let decisive = match self.ast.expression(id) {
            Expression::And { .. } => false,
            Expression::Or { .. } => true,
            _ => return None,
        };
        let mut operands: SmallVec<[ExpressionId; 4]> = SmallVec::new();
        let mut rest = id;
        let first = loop {
            match (self.ast.expression(rest), decisive) {
                (Expression::And { left, right }, false) | (Expression::Or { left, right }, true) => {
                    operands.push(right);
                    rest = left;
                }
                _ => break rest,
            }
        };
        operands.push(first);
        operands.reverse();
        let last = operands.pop()?;
        Some(Chain { front: operands, last, decisive })
    }

    /// Emits code that jumps if the truth of the expression is `when`, and goes on to the next instruction otherwise.
    pub(super) fn condition(&mut self, id: ExpressionId, when: bool, list: &mut JumpList) -> Generate<()> {
        if let Some(chain) = self.chain(id) {
            return self.chain_condition(&chain, when, list);
        }
        let expression = self.ast.expression(id);
        match expression {
            Expression::Unary { operator: UnaryOperator::Not, operand, .. } => {
                self.condition(operand, !when, list)
            }
            Expression::Binary { operator, left, right, line } if operator.is_comparison() => {
                self.comparison(operator, Operand::Expression(left), right, line, when, list)
            }
            Expression::Parentheses(inner) => self.condition(inner, when, list),
            _ => match expression.constant_truth() {
                Some(truth) => {
                    if truth == when {
                        self.jump(list);
                    }
                    Ok(())
                }
                None => {
                    // The test belongs to the line of `then`, if that is what follows.
                    let line = self.state.line;
                    let free = self.state.free;
                    let register = self.any(id)?;
                    self.state.free = free;
                    self.state.line = self.state.line.max(line);
                    self.jump_with(list, Instruction::abc(Op::Test, register, 0, u8::from(when)));
                    Ok(())
                }
            },
        }
    }

    fn chain_condition(&mut self, chain: &Chain, when: bool, list: &mut JumpList) -> Generate<()> {
        if when == chain.decisive {
            for operand in &chain.front {
                self.condition(*operand, when, list)?;
            }
            return self.condition(chain.last, when, list);
        }
        let mut past = JumpList::EMPTY;
        for operand in &chain.front {
            self.condition(*operand, chain.decisive, &mut past)?;
        }
        self.condition(chain.last, when, list)?;
        self.patch_here(past);
        Ok(())
    }

    /// The value of a logical expression. The target as in [`Generator::value`].
    pub(super) fn logical_value(&mut self, id: ExpressionId, target: u8) -> Generate<()> {
        let mut exits =
            Exits { valued: JumpList::EMPTY, truths: JumpList::EMPTY, falsehoods: JumpList::EMPTY };
        let ends_valued = self.logical_end(id, target, &mut exits)?;
        if ends_valued && (!exits.truths.is_empty() || !exits.falsehoods.is_empty()) {
            let mut valued = exits.valued;
            self.jump(&mut valued);
            exits.valued = valued;
        }
        if !ends_valued || !exits.falsehoods.is_empty() {
            self.patch_here(exits.falsehoods);
            let op = if exits.truths.is_empty() { Op::LoadBool } else { Op::LoadFalseSkip };
            self.emit_abc(op, target, 0, 0);
        }
        if !exits.truths.is_empty() {
            self.patch_here(exits.truths);
            self.emit_abc(Op::LoadBool, target, 1, 0);
            self.target_here(); // `LoadFalseSkip` leads here
        }
        self.patch_here(exits.valued);
        Ok(())
    }

    /// The last operand of a logical value. Returns whether it falls through with the value in the target; otherwise it
    /// falls through when it is `false`.
    fn logical_end(&mut self, id: ExpressionId, target: u8, exits: &mut Exits) -> Generate<bool> {
        if let Some(chain) = self.chain(id) {
            for operand in &chain.front {
                self.jump_with_value(*operand, target, chain.decisive, exits)?;
            }
            return self.logical_end(chain.last, target, exits);
        }
        if is_logical(self.ast, self.ast.expression(id)) {
            self.condition(id, true, &mut exits.truths)?;
            return Ok(false);
        }
        self.value(id, target)?;
        Ok(true)
    }

    /// Leaves with the value of the expression if its truth is `when`, else goes on to the next instruction.
    fn jump_with_value(
        &mut self,
        id: ExpressionId,
        target: u8,
        when: bool,
        exits: &mut Exits,
    ) -> Generate<()> {
        if let Some(chain) = self.chain(id) {
            if when == chain.decisive {
                for operand in &chain.front {
                    self.jump_with_value(*operand, target, when, exits)?;
                }
                return self.jump_with_value(chain.last, target, when, exits);
            }
            let mut past = JumpList::EMPTY;
            for operand in &chain.front {
                self.condition(*operand, chain.decisive, &mut past)?;
            }
            self.jump_with_value(chain.last, target, when, exits)?;
            self.patch_here(past);
            return Ok(());
        }
        let expression = self.ast.expression(id);
        match expression {
            Expression::Parentheses(inner) => return self.jump_with_value(inner, target, when, exits),
            Expression::Unary { operator: UnaryOperator::Not, .. } => {
                return self.condition(id, when, exits.boolean(when));
            }
            Expression::Binary { operator, .. } if operator.is_comparison() => {
                return self.condition(id, when, exits.boolean(when));
            }
            _ => {}
        }
        if let Some(truth) = expression.constant_truth() {
            if truth == when {
                self.value(id, target)?;
                self.jump(&mut exits.valued);
            }
            return Ok(());
        }
        let free = self.state.free;
        let register = self.any(id)?;
        self.state.free = free;
        let instruction = if register == target {
            Instruction::abc(Op::Test, register, 0, u8::from(when))
        } else {
            Instruction::abc(Op::TestSet, target, register, u8::from(when))
        };
        self.jump_with(&mut exits.valued, instruction);
        Ok(())
    }

    /// Compares and jumps if the outcome is `when`.
    pub(super) fn comparison(
        &mut self,
        operator: BinaryOperator,
        left: Operand,
        right: ExpressionId,
        line: u32,
        when: bool,
        list: &mut JumpList,
    ) -> Generate<()> {
        let free = self.state.free;
        // A constant on the left can change sides, unless there is one on the right as well.
        let right_value = self.ast.expression(right);
        let left_constant = match left {
            Operand::Expression(id) if right_value.constant_truth().is_none() => {
                Some(self.ast.expression(id)).filter(|left| left.constant_truth().is_some())
            }
            _ => None,
        };
        let instruction = if let Some(constant) = left_constant
            && let Some(instruction) = self.constant_comparison(operator, constant, true, when)
        {
            Instruction { a: self.any(right)?, ..instruction }
        } else if let Some(instruction) = self.constant_comparison(operator, right_value, false, when) {
            Instruction { a: self.operand(left)?, ..instruction }
        } else {
            let (left, right) = self.operands(left, right)?;
            register_comparison(operator, left, right, when)
        };
        self.state.free = free;
        self.state.line = line;
        self.jump_with(list, instruction);
        Ok(())
    }

    /// The comparison with a constant, if there is an operation for it; the register is left open. `swapped` says that the
    /// constant stands on the left.
    fn constant_comparison(
        &mut self,
        operator: BinaryOperator,
        constant: Expression,
        swapped: bool,
        when: bool,
    ) -> Option<Instruction> {
        use BinaryOperator::*;
        let small = match constant {
            Expression::Int(int) => i8::try_from(int).ok().map(|small| (small, 0)),
            Expression::Float(float) if f64::from(float as i8) == float => Some((float as i8, 2)),
            _ => None,
        };
        if matches!(operator, Equal | NotEqual) {
            let c = u8::from(when == (operator == Equal));
            if let Some((small, _)) = small {
                return Some(Instruction::abc(Op::EqualInt, 0, small as u8, c));
            }
            let b = u8::try_from(self.constant_of(constant)?).ok()?;
            return Some(Instruction::abc(Op::EqualConstant, 0, b, c));
        }
        let (small, float) = small?;
        let op = match (operator, swapped) {
            (Less, false) | (Greater, true) => Op::LessInt,
            (LessEqual, false) | (GreaterEqual, true) => Op::LessEqualInt,
            (Greater, false) | (Less, true) => Op::GreaterInt,
            _ => Op::GreaterEqualInt,
        };
        Some(Instruction::abc(op, 0, small as u8, u8::from(when) | float))
    }
}

fn register_comparison(operator: BinaryOperator, left: u8, right: u8, when: bool) -> Instruction {
    use BinaryOperator::*;
    let (op, a, b) = match operator {
        Equal | NotEqual => (Op::Equal, left, right),
        Less => (Op::Less, left, right),
        LessEqual => (Op::LessEqual, left, right),
        Greater => (Op::Less, right, left),
        _ => (Op::LessEqual, right, left),
    };
    Instruction::abc(op, a, b, u8::from(when != (operator == NotEqual)))
}
