//! Random programs and functions for tests, made from seeds. They can't be invalid.
//!
//! Two generators:
//!
//! * [`Program::random`] makes a program in the bytecode of a tiny language of its own, *mini* ([`language()`]). The program can be
//!   interpreted ([`interpret()`]) and lifted to generic IR ([`Program::lift`]). Whatever becomes of that function, running it
//!   with [`Trial::run`], its deoptimizations resumed in the interpreter, has to give the same [`Outcome`] as interpreting
//!   from the start: the property that every pass and every backend is held to.
//! * [`random_function`] makes specialized IR directly, over everything that the opcode table has to offer: for printer,
//!   parser, verifier, analyses and backends.
//!
//! Outcomes don't speak of addresses, nor of calls that specialized code may do without; so they stay the same when
//! allocations or dead stores go.

mod function;
mod interpret;
mod language;
mod lift;
mod objects;
mod program;
mod trial;

pub use function::{Reach, random_function};
pub use interpret::{End, Frame, interpret};
pub use language::{Logged, Observations, World, describe, extern_, guest, language, world};
pub use objects::{Copier, Objects};
pub use program::{Code, Program, Test};
pub use trial::{Outcome, Trial};

/// A stream of numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1))
    }
    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
    /// A number below a limit, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.word() % limit.max(1) as u64) as usize
    }
    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
    /// An integer as programs have them: mostly small, sometimes extreme.
    pub fn integer(&mut self) -> i64 {
        match self.below(10) {
            0 => *self.pick(&[i64::MIN, i64::MAX, -1, 0, 1 << 53, 63, 64]),
            1 => self.word() as i64,
            _ => self.below(40) as i64 - 10,
        }
    }
    /// A float as programs have them.
    pub fn float(&mut self) -> f64 {
        match self.below(10) {
            0 => *self.pick(&[f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 5e-324, 9.3e18]),
            _ => self.integer() as f64 / 4.0,
        }
    }
}

#[cfg(test)]
mod tests;
