//! Constant folding, within the bounds that Lua sets itself: operations on numerals whose result is neither an error, nor
//! NaN, nor a zero of the float kind (whose sign would be lost among equal constants).

use crate::ast::{BinaryOperator, Expression, UnaryOperator};
use crate::number;

/// The value of an operation on two constants.
pub fn binary(operator: BinaryOperator, left: Expression, right: Expression) -> Option<Expression> {
    use BinaryOperator::*;
    if operator.is_comparison() || operator == Concat {
        return None;
    }
    if matches!(operator, BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight) {
        let (a, b) = (integer(left)?, integer(right)?);
        return Some(Expression::Int(match operator {
            BitAnd => a & b,
            BitOr => a | b,
            BitXor => a ^ b,
            ShiftLeft => number::shift_left(a, b),
            _ => number::shift_left(a, b.checked_neg().unwrap_or(i64::MAX)),
        }));
    }
    let (a, b) = (float(left)?, float(right)?);
    if matches!(operator, Div | FloorDiv | Mod) && b == 0.0 {
        return None;
    }
    if let (Expression::Int(a), Expression::Int(b)) = (left, right) {
        match operator {
            Add => return Some(Expression::Int(a.wrapping_add(b))),
            Sub => return Some(Expression::Int(a.wrapping_sub(b))),
            Mul => return Some(Expression::Int(a.wrapping_mul(b))),
            FloorDiv => return Some(Expression::Int(number::floor_divide(a, b))),
            Mod => return Some(Expression::Int(number::modulo(a, b))),
            _ => {}
        }
    }
    checked(match operator {
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div => a / b,
        FloorDiv => (a / b).floor(),
        Mod => number::float_modulo(a, b),
        _ => number::power(a, b),
    })
}

/// The value of an operation on a constant.
pub fn unary(operator: UnaryOperator, operand: Expression) -> Option<Expression> {
    match (operator, operand) {
        (UnaryOperator::Negate, Expression::Int(int)) => Some(Expression::Int(int.wrapping_neg())),
        (UnaryOperator::Negate, Expression::Float(float)) => checked(-float),
        (UnaryOperator::BitNot, operand) => Some(Expression::Int(!integer(operand)?)),
        (UnaryOperator::Not, operand) => {
            Some(if operand.constant_truth()? { Expression::False } else { Expression::True })
        }
        _ => None,
    }
}

fn checked(result: f64) -> Option<Expression> {
    (!result.is_nan() && result != 0.0).then_some(Expression::Float(result))
}

fn float(expression: Expression) -> Option<f64> {
    match expression {
        Expression::Int(int) => Some(int as f64),
        Expression::Float(float) => Some(float),
        _ => None,
    }
}

fn integer(expression: Expression) -> Option<i64> {
    match expression {
        Expression::Int(int) => Some(int),
        Expression::Float(float) => number::float_to_integer(float),
        _ => None,
    }
}
