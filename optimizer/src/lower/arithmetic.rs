//! Integer division as guest languages want it: rounded towards minus infinity, without a trap.
//!
//! The machine's division truncates and traps on `MIN / -1`. A divisor of -1 is replaced by 1 before the division; the quotient
//! is then corrected, while the remainder is 0 either way. Constant divisors need none of that, and powers of two no division.

use super::Translator;
use super::error::LowerError;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};
use surmise_ir::entity::Value;
use surmise_ir::function::Immediate;
use surmise_ir::opcode::Opcode;

/// The truncated division's results, and what tells whether they have to be corrected.
struct Truncated {
    quotient: ir::Value,
    remainder: ir::Value,
    /// The remainder is not zero and its sign is not the divisor's (a byte, 0 or 1).
    is_off: ir::Value,
}

impl Translator<'_> {
    fn constant_operand(&self, value: Value) -> Option<i64> {
        match self.function.def_with(value, Opcode::Iconst)?.immediate {
            Immediate::Integer(constant) => Some(constant),
            _ => None,
        }
    }
    fn truncated(&mut self, a: ir::Value, b: ir::Value) -> Truncated {
        let quotient = self.builder.ins().sdiv(a, b);
        let product = self.builder.ins().imul(quotient, b);
        let remainder = self.builder.ins().isub(a, product);
        let signs = self.builder.ins().bxor(remainder, b);
        let differ = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let is_rest = self.builder.ins().icmp_imm_s(IntCC::NotEqual, remainder, 0);
        let is_off = self.builder.ins().band(differ, is_rest);
        Truncated { quotient, remainder, is_off }
    }
    /// Replaces -1 by 1; also gives whether it was -1.
    fn safe_divisor(&mut self, b: ir::Value) -> (ir::Value, ir::Value) {
        let is_minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let one = self.constant(1);
        (self.builder.ins().select(is_minus_one, one, b), is_minus_one)
    }
    /// The quotient rounded towards minus infinity.
    pub fn floor_div(&mut self, dividend: Value, divisor: Value) -> Result<ir::Value, LowerError> {
        let (a, b) = (self.single(dividend)?, self.single(divisor)?);
        let rounded = |this: &mut Self, division: Truncated| {
            let correction = this.builder.ins().uextend(types::I64, division.is_off);
            this.builder.ins().isub(division.quotient, correction)
        };
        Ok(match self.constant_operand(divisor) {
            Some(1) => a,
            Some(-1) => self.builder.ins().ineg(a),
            Some(constant) if constant > 0 && constant.count_ones() == 1 => {
                self.builder.ins().sshr_imm_u(a, i64::from(constant.trailing_zeros()))
            }
            Some(constant) if constant != 0 => {
                let division = self.truncated(a, b);
                rounded(self, division)
            }
            _ => {
                let (safe, is_minus_one) = self.safe_divisor(b);
                let division = self.truncated(a, safe);
                let quotient = rounded(self, division);
                let negated = self.builder.ins().ineg(a);
                self.builder.ins().select(is_minus_one, negated, quotient)
            }
        })
    }
    /// The remainder with the divisor's sign.
    pub fn floor_mod(&mut self, dividend: Value, divisor: Value) -> Result<ir::Value, LowerError> {
        let (a, b) = (self.single(dividend)?, self.single(divisor)?);
        let safe = match self.constant_operand(divisor) {
            Some(1 | -1) => return Ok(self.constant(0)),
            Some(constant) if constant > 0 && constant.count_ones() == 1 => {
                return Ok(self.builder.ins().band_imm_s(a, constant - 1));
            }
            Some(constant) if constant != 0 => b,
            _ => self.safe_divisor(b).0,
        };
        let division = self.truncated(a, safe);
        let moved = self.builder.ins().iadd(division.remainder, safe);
        Ok(self.builder.ins().select(division.is_off, moved, division.remainder))
    }
}
