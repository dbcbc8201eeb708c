//! Liveness of registers over a host's bytecode, for lifters.
//!
//! A lifter tells the builder at each instruction which registers are live before and after it; frame states map exactly
//! those. The host describes its bytecode by [`Bytecode`]: which instructions may follow, which registers are read and which
//! are written. A register is live before an instruction if some way from there reads it before writing it.

use super::bit_set::bits;
use crate::entity::{Pc, Register};

/// Receives registers, one or a run at a time.
#[derive(Debug)]
pub struct RegisterSink<'a> {
    words: &'a mut [u64],
    writes: bool,
}

impl RegisterSink<'_> {
    /// One register.
    pub fn register(&mut self, register: Register) {
        let index = register.0 as usize;
        let Some(word) = self.words.get_mut(index / 64) else { return };
        if self.writes {
            *word &= !(1 << (index % 64));
        } else {
            *word |= 1 << (index % 64);
        }
    }
    /// `count` registers from `first` on.
    pub fn range(&mut self, first: Register, count: u16) {
        for index in first.0..first.0.saturating_add(count) {
            self.register(Register(index));
        }
    }
}

/// A unit's bytecode as this analysis sees it. Registers outside `0..register_count` are ignored.
pub trait Bytecode {
    /// How many instructions there are. Pcs are below this.
    fn instruction_count(&self) -> u32;
    /// How many registers a frame has.
    fn register_count(&self) -> u16;
    /// Calls `visit` with every instruction that may follow `pc`. Exceptional ways into handlers of the same frame included.
    fn successors(&self, pc: Pc, visit: &mut dyn FnMut(Pc));
    /// Names every register that `pc` may read, before it writes any.
    fn uses(&self, pc: Pc, registers: &mut RegisterSink);
    /// Names every register that `pc` surely writes (or leaves without a value that could be wanted), whichever way it goes.
    fn definitions(&self, pc: Pc, registers: &mut RegisterSink);
}

/// The live registers before and after each instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveRegisters {
    words_per_set: usize,
    before: Vec<u64>,
    after: Vec<u64>,
}

impl LiveRegisters {
    /// Computes the live registers by backward rounds over the bytecode: one round, plus one for each level of loops.
    pub fn new(bytecode: &dyn Bytecode) -> LiveRegisters {
        let count = bytecode.instruction_count() as usize;
        let words_per_set = (bytecode.register_count() as usize).div_ceil(64);
        let mut live = LiveRegisters {
            words_per_set,
            before: vec![0; count * words_per_set],
            after: vec![0; count * words_per_set],
        };
        let mut set = vec![0; words_per_set];
        loop {
            let mut changed = false;
            for index in (0..count).rev() {
                let pc = Pc(index as u32);
                set.fill(0);
                bytecode.successors(pc, &mut |next| {
                    for (word, theirs) in set.iter_mut().zip(live.slice(&live.before, next)) {
                        *word |= theirs;
                    }
                });
                bytecode.definitions(pc, &mut RegisterSink { words: &mut set, writes: true });
                let range = index * words_per_set..(index + 1) * words_per_set;
                live.after[range.clone()].copy_from_slice(&set);
                bytecode.uses(pc, &mut RegisterSink { words: &mut set, writes: false });
                if live.before[range.clone()] != set[..] {
                    live.before[range].copy_from_slice(&set);
                    changed = true;
                }
            }
            if !changed {
                return live;
            }
        }
    }
    fn slice<'a>(&self, sets: &'a [u64], pc: Pc) -> &'a [u64] {
        let start = pc.0 as usize * self.words_per_set;
        sets.get(start..start + self.words_per_set).unwrap_or(&[])
    }
    /// The registers that are live before an instruction, ascending; none for a pc outside the bytecode.
    pub fn before(&self, pc: Pc) -> Vec<Register> {
        registers(self.slice(&self.before, pc))
    }
    /// The registers that are live after an instruction, those that it writes itself not counted, ascending.
    pub fn after(&self, pc: Pc) -> Vec<Register> {
        registers(self.slice(&self.after, pc))
    }
    /// Whether a register is live before an instruction.
    pub fn is_live_before(&self, pc: Pc, register: Register) -> bool {
        let word = self.slice(&self.before, pc).get(register.0 as usize / 64);
        word.is_some_and(|word| word & (1 << (register.0 % 64)) != 0)
    }
}

fn registers(words: &[u64]) -> Vec<Register> {
    let of_word = |(index, &word)| bits(word).map(move |bit| Register((index * 64 + bit) as u16));
    words.iter().enumerate().flat_map(of_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(successors, uses, definitions)` of each instruction.
    struct Listing(Vec<(Vec<u32>, Vec<u16>, Vec<u16>)>);

    impl Bytecode for Listing {
        fn instruction_count(&self) -> u32 {
            self.0.len() as u32
        }
        fn register_count(&self) -> u16 {
            70
        }
        fn successors(&self, pc: Pc, visit: &mut dyn FnMut(Pc)) {
            self.0[pc.0 as usize].0.iter().for_each(|&next| visit(Pc(next)));
        }
        fn uses(&self, pc: Pc, registers: &mut RegisterSink) {
            self.0[pc.0 as usize].1.iter().for_each(|&register| registers.register(Register(register)));
        }
        fn definitions(&self, pc: Pc, registers: &mut RegisterSink) {
            self.0[pc.0 as usize].2.iter().for_each(|&register| registers.range(Register(register), 1));
        }
    }

    #[test]
    fn a_loop_keeps_what_its_next_round_reads() {
        let listing = Listing(vec![
            (vec![1], vec![0], vec![65]),      // r65 = r0
            (vec![2, 4], vec![65, 1], vec![]), // if r65 < r1
            (vec![3], vec![65, 2], vec![3]),   // r3 = r65 + r2
            (vec![1], vec![3], vec![65]),      // r65 = r3; back
            (vec![], vec![0], vec![]),         // return r0
        ]);
        let live = LiveRegisters::new(&listing);
        let numbers =
            |registers: Vec<Register>| registers.iter().map(|register| register.0).collect::<Vec<_>>();
        assert_eq!(numbers(live.before(Pc(0))), [0, 1, 2]);
        assert_eq!(numbers(live.after(Pc(0))), [0, 1, 2]);
        assert_eq!(numbers(live.before(Pc(1))), [0, 1, 2, 65]);
        assert_eq!(numbers(live.before(Pc(3))), [0, 1, 2, 3]);
        assert_eq!(numbers(live.after(Pc(3))), [0, 1, 2]);
        assert_eq!(numbers(live.before(Pc(4))), [0]);
        assert_eq!(numbers(live.before(Pc(99))), []);
        assert!(live.is_live_before(Pc(1), Register(65)) && !live.is_live_before(Pc(0), Register(65)));
    }
}
