//! Fingerprints: what is compared instead of the things themselves, so that a recording stays small.

use super::codec::encode_into;
use serde::Serialize;
use std::cell::RefCell;
use surmise_deopt::boxed::Boxed;
use surmise_deopt::candidate::Image;
use surmise_deopt::rebuild::RebuildPlan;
use surmise_ir::function::Function;
use surmise_ir::language::Language;
use surmise_ir::types::Type;

fn short(hash: &blake3::Hash) -> u64 {
    let bytes = hash.as_bytes();
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

thread_local! {
    /// What is hashed: a compile has many fingerprints, and each is of some kilobytes.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn hash_of(value: &impl Serialize) -> blake3::Hash {
    BYTES.with_borrow_mut(|bytes| {
        bytes.clear();
        encode_into(bytes, value);
        blake3::hash(bytes)
    })
}

/// A function's, whatever its name: all that it says, unused entities included.
pub fn of_function(function: &Function) -> u64 {
    // Taken apart, so that no field is forgotten. The bytes are those of a function without a name.
    let Function { name: _, unit, entry, layout, blocks, insts, values, states, frames, slots, premises } =
        function;
    short(&hash_of(&("", unit, entry, layout, blocks, insts, values, states, frames, slots, premises)))
}

/// A candidate's, whatever its name: code and tables to the last byte.
pub fn of_image(image: &Image) -> [u8; 32] {
    let mut nameless = image.clone();
    match &mut nameless {
        Image::Native(image) => image.name.clear(),
        Image::Portable(image) => image.function.name.clear(),
    }
    *hash_of(&nameless).as_bytes()
}

/// That of the frames that are about to take a compiled frame's place. Objects count by their kind only: where they are is another
/// place in each process.
pub fn of_frames(plan: &RebuildPlan, language: &Language) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let mut word = |word: u64| {
        hasher.update(&word.to_le_bytes());
    };
    let value = |word: &mut dyn FnMut(u64), value: Boxed| match language
        .kinds
        .iter()
        .find(|(_, kind)| value.is_kind(kind.form))
    {
        Some((id, kind)) => {
            word(u64::from(id.as_u32()));
            if matches!(kind.payload, Some(Type::I64 | Type::F64 | Type::I1)) {
                word(value.tag());
                word(value.payload());
            }
        }
        None => word(u64::MAX),
    };
    for frame in plan.frames() {
        word(frame.unit().0);
        word(u64::from(frame.resume().pc.0) << 1 | frame.resume().when as u64);
        word(u64::from(frame.window_offset()));
        for (register, boxed) in frame.registers() {
            word(u64::from(register.0));
            value(&mut word, boxed);
        }
        for boxed in frame.results() {
            value(&mut word, boxed);
        }
        if let Some((register, length)) = frame.open() {
            word(u64::from(register.0));
            word(length);
        }
    }
    short(&hasher.finalize())
}

/// A lifted function's, whatever its name, and whatever the things are called in one process that its slots hold.
pub fn of_lifted(function: &Function) -> [u8; 32] {
    let mut nameless = function.clone();
    nameless.name.clear();
    for recipe in nameless.slots.values_mut() {
        recipe.words = [0; 2];
    }
    *hash_of(&nameless).as_bytes()
}
