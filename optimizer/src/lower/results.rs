//! Results of units and of calls of them, in machine form: see [`surmise_deopt::context`].
//!
//! In pair encoding the first result's tag and the number of further results share a register, so a caller that wants one
//! result masks the tag, and one that wants none does nothing. When there are no results the low half is the tag of the absent
//! value, so one wanted result needs no test either.

use super::Translator;
use super::boxing::absent;
use super::error::LowerError;
use super::values::Words;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};
use surmise_ir::entity::{Register, Value};
use surmise_ir::function::{CallInfo, InstData, Wanted};

impl Translator<'_> {
    /// The absent value's words.
    pub fn absent(&mut self) -> Result<Words, LowerError> {
        let (first, payload) = absent(self.language)?;
        Ok(if self.is_pair() {
            Words::Pair(self.constant(first), self.constant(payload))
        } else {
            Words::One(self.constant(first))
        })
    }
    /// The first result in machine results.
    fn first_result(&mut self, first: ir::Value, second: ir::Value) -> Words {
        if self.is_pair() {
            let tag = self.builder.ins().ireduce(types::I32, first);
            Words::Pair(self.builder.ins().uextend(types::I64, tag), second)
        } else {
            Words::One(first)
        }
    }
    /// How many results there are besides the first, -1 for none.
    fn further_results(&mut self, first: ir::Value, second: ir::Value) -> ir::Value {
        if self.is_pair() { self.builder.ins().sshr_imm_u(first, 32) } else { second }
    }

    /// Brings a call's results to where they are wanted.
    pub fn receive(
        &mut self,
        data: &InstData,
        info: CallInfo,
        first: ir::Value,
        second: ir::Value,
    ) -> Result<(), LowerError> {
        self.open_results = None;
        let position = i32::from(info.window.0);
        match info.wanted {
            Wanted::Fixed(0) => {}
            Wanted::Fixed(1) => {
                if let Some(value) = data.result {
                    let words = self.first_result(first, second);
                    self.define(value, words);
                }
            }
            Wanted::Fixed(count) => {
                let further = self.further_results(first, second);
                let is_other = self.builder.ins().icmp_imm_s(IntCC::NotEqual, further, i64::from(count) - 1);
                let (fill, go_on) = (self.cold_block(), self.builder.create_block());
                self.builder.ins().brif(is_other, fill, &[], go_on, &[]);
                self.start_block(fill);
                // A single result is in no memory yet; for any other count this changes nothing.
                let words = self.first_result(first, second);
                self.store_register(position, words);
                let missing = self.absent()?;
                for index in 1..i64::from(count) {
                    let (put, next) = (self.cold_block(), self.cold_block());
                    let is_missing = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, further, index);
                    self.builder.ins().brif(is_missing, put, &[], next, &[]);
                    self.start_block(put);
                    self.store_register(position + index as i32, missing);
                    self.builder.ins().jump(next, &[]);
                    self.start_block(next);
                }
                self.builder.ins().jump(go_on, &[]);
                self.start_block(go_on);
            }
            Wanted::Open => {
                // Likewise harmless unless there is exactly one; without any the register is free.
                let words = self.first_result(first, second);
                self.store_register(position, words);
                let further = self.further_results(first, second);
                self.open_results = Some(self.builder.ins().iadd_imm_s(further, 1));
            }
        }
        Ok(())
    }

    /// Returns these boxed values.
    pub fn return_values(&mut self, values: &[Value]) -> Result<(), LowerError> {
        let mut words = Vec::with_capacity(values.len());
        for &value in values {
            words.push(self.words(value)?);
        }
        if words.len() != 1 {
            for (index, &words) in words.iter().enumerate() {
                self.store_register(index as i32 - 1, words);
            }
        }
        let further = values.len() as i64 - 1;
        let first = match words.first() {
            Some(&words) => words,
            None => self.absent()?,
        };
        let results = match first {
            Words::Pair(tag, payload) if further == 0 => [tag, payload],
            Words::Pair(tag, payload) => [self.builder.ins().bor_imm_s(tag, further << 32), payload],
            Words::One(word) => [word, self.constant(further as u64)],
        };
        self.builder.ins().return_(&results);
        Ok(())
    }
    /// Returns an open run of values in the window.
    pub fn return_open(&mut self, register: Register, count: Value) -> Result<(), LowerError> {
        let count = self.single(count)?;
        let size = i64::from(self.language.encoding.size());
        let source = self.window_address(register);
        let target = self.register_address(-1);
        let length = self.builder.ins().imul_imm_s(count, size);
        // Copied upwards: the target lies below the source.
        let (head, body, done) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let offset = self.builder.append_block_param(head, types::I64);
        let zero = self.constant(0);
        self.builder.ins().jump(head, &[zero.into()]);
        self.builder.switch_to_block(head);
        let is_more = self.builder.ins().icmp(IntCC::SignedLessThan, offset, length);
        self.builder.ins().brif(is_more, body, &[], done, &[]);
        self.start_block(body);
        let (from, to) = (self.builder.ins().iadd(source, offset), self.builder.ins().iadd(target, offset));
        let words = self.load_any(self.regions.host, from, 0);
        self.store_words(words, to, 0);
        let next = self.builder.ins().iadd_imm_s(offset, size);
        self.builder.ins().jump(head, &[next.into()]);
        self.builder.seal_block(head);
        self.start_block(done);
        let further = self.builder.ins().iadd_imm_s(count, -1);
        let is_empty = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, further, 0);
        let (some, none) = (self.load_any(self.regions.host, target, 0), self.absent()?);
        let results = match (some, none) {
            (Words::Pair(tag, payload), Words::Pair(absent_tag, absent_payload)) => {
                let tag = self.builder.ins().select(is_empty, absent_tag, tag);
                let high = self.builder.ins().ishl_imm_u(further, 32);
                let payload = self.builder.ins().select(is_empty, absent_payload, payload);
                [self.builder.ins().bor(tag, high), payload]
            }
            (some, none) => [self.builder.ins().select(is_empty, none.last(), some.last()), further],
        };
        self.builder.ins().return_(&results);
        Ok(())
    }
}
