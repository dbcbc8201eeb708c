//! Fields and elements of all forms, the window, spesh slots, the write barrier.

use super::languages::*;
use super::machine::Machine;
use surmise_deopt::context::Context;
use surmise_ir::entity::*;
use surmise_ir::function::*;
use surmise_ir::language::*;
use surmise_ir::opcode::*;
use surmise_ir::types::Type;

fn field(language: &mut Language, memory: MemoryType, offset: i32, stride: u32) -> FieldId {
    if language.layouts.is_empty() {
        language.layouts.push(Layout { name: "thing".to_owned(), fields: vec![] });
    }
    language.fields.push(Field {
        layout: LayoutId::from_u32(0),
        name: "field".to_owned(),
        offset,
        memory,
        stride,
        alias: AliasClass::from_u32(0),
        immutable: false,
    })
}

/// Loads a value from one object and stores it to another, as a field and as element 3.
#[test]
fn every_memory_type_is_copied() {
    use MemoryType::*;
    for encoding in [Encoding::Pair, Encoding::Word] {
        let any = encoding.size() as usize;
        for (memory, size) in [
            (U8, 1),
            (U16, 2),
            (U32, 4),
            (I32, 4),
            (Full(Type::I64), 8),
            (Full(Type::F64), 8),
            (Full(Type::I1), 1),
            (Full(Type::Ref), 8),
            (Full(Type::Raw), 8),
            (Full(Type::Any), any),
        ] {
            for (stride, index) in [(0, 0), (16, 3), (24, 3), (40, 2)] {
                let mut language = language(encoding);
                let id = field(&mut language, memory, 8, stride);
                let mut maker = Maker::new(&language, 4);
                let (from, to) = (maker.parameter("object", 0), maker.parameter("address", 1));
                let value = if stride == 0 {
                    let value = maker.value(Opcode::Load, &[from], Immediate::Field(id));
                    maker.add(InstData::new(Opcode::Store, &[to, value], Immediate::Field(id)));
                    value
                } else {
                    let position = maker.parameter("int", 2);
                    let value = maker.value(Opcode::LoadElement, &[from, position], Immediate::Field(id));
                    let args = [to, position, value];
                    maker.add(InstData::new(Opcode::StoreElement, &args, Immediate::Field(id)));
                    value
                };
                let result = if maker.function.ty(value) == Type::Any { value } else { maker.boxed(value) };
                maker.ret(&[result]);
                let mut machine = Machine::new(&maker);
                let at = 8 + index * stride as usize;
                let mut source = [0u8; 256];
                for (position, byte) in source.iter_mut().enumerate() {
                    *byte = (position as u8).wrapping_add(0x80);
                }
                if memory == Full(Type::I1) {
                    source[at] = 1;
                }
                if memory == Full(Type::Any) && encoding == Encoding::Pair {
                    source[at..at + 8].copy_from_slice(&3u64.to_le_bytes());
                }
                let source = Aligned(source);
                let mut target = Aligned([0x55u8; 256]);
                let found = machine.result(&[
                    boxed(&language, "object", source.0.as_ptr() as u64),
                    boxed(&language, "address", target.0.as_mut_ptr() as u64),
                    boxed(&language, "int", index as u64),
                ]);
                let mut expected = [0x55u8; 256];
                expected[at..at + size].copy_from_slice(&source.0[at..at + size]);
                assert!(target.0 == expected, "{memory:?} stride {stride} index {index}");
                let mut bits = [0; 8];
                bits[..size.min(8)].copy_from_slice(&source.0[at..at + size.min(8)]);
                let mut bits = u64::from_le_bytes(bits);
                if memory == I32 {
                    bits = bits as i32 as u64;
                }
                if memory != Full(Type::Any) {
                    let name = language.kinds[kind_of(memory.value_type())].name.clone();
                    assert_eq!(found, boxed(&language, &name, bits), "{memory:?}");
                }
            }
        }
    }
}

#[repr(align(16))]
struct Aligned([u8; 256]);

#[test]
fn slots_window_and_host_state() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        let mut language = language(encoding);
        for ty in [Type::Raw, Type::Ref, Type::Any] {
            language.recipes.push(RecipeClass { name: format!("{ty}"), ty });
        }
        let mut maker = Maker::new(&language, 8);
        let mut values = Vec::new();
        for class in 0..3 {
            let slot = maker.function.slot(Recipe { class, words: [1, 2] });
            let value = maker.value(Opcode::Slot, &[], Immediate::Slot(slot));
            values.push(if maker.function.ty(value) == Type::Any { value } else { maker.boxed(value) });
        }
        let state = maker.value(Opcode::HostState, &[], Immediate::None);
        let address = maker.value(Opcode::WindowAddress, &[], Immediate::Register(Register(3)));
        let closure = maker.value(Opcode::SelfClosure, &[], Immediate::None);
        let count = maker.value(Opcode::ArgumentCount, &[], Immediate::None);
        values.extend([maker.boxed(state), maker.boxed(address), closure, maker.boxed(count)]);
        maker.ret(&values);
        let mut machine = Machine::new(&maker);
        let words = machine.words();
        machine.set_register(-1, &boxed(&language, "int", 321));
        for (index, value) in [0x1110, 0x2220].into_iter().enumerate() {
            machine.slots[index * words + words - 1] = value;
        }
        let any = boxed(&language, "float", 8f64.to_bits());
        machine.slots[2 * words..3 * words].copy_from_slice(&any);
        machine.call(5);
        let found: Vec<_> = (0..7).map(|index| machine.register(index - 1)).collect();
        assert_eq!(found[0], boxed(&language, "address", 0x1110));
        assert_eq!(found[1], boxed(&language, "object", 0x2220));
        assert_eq!(found[2], any);
        assert_eq!(found[3], boxed(&language, "address", &raw const *machine as u64));
        let window = machine.window() as u64;
        assert_eq!(found[4], boxed(&language, "address", window + 24 * words as u64));
        assert_eq!(found[5], boxed(&language, "int", 321));
        assert_eq!(found[6], boxed(&language, "int", 5));
        assert!(machine.lowered.image.argument_count_home.is_some());
    }
}

unsafe extern "C" fn slow(context: *mut Context, object: u64) {
    Machine::of(context).log.push(object);
}

#[test]
fn the_barrier_looks_at_the_object() {
    for (mask, trigger) in [(4, 4), (4, 0), (6, 2)] {
        let mut language = language(Encoding::Pair);
        let slow_id = extern_(&mut language, &[Type::Ref], None, Effects::default());
        let flags = field(&mut language, MemoryType::U8, 3, 0);
        language.barrier = Some(WriteBarrier { flags, mask, trigger, slow: slow_id });
        let mut maker = Maker::new(&language, 4);
        let (object, value) = (maker.parameter("object", 0), maker.argument(1));
        maker.add(InstData::new(Opcode::Barrier, &[object, value], Immediate::None));
        let int = maker.int(5);
        let int = maker.boxed(int);
        maker.add(InstData::new(Opcode::Barrier, &[object, int], Immediate::None));
        maker.ret(&[]);
        let mut machine = Machine::new(&maker);
        machine.set_extern(slow as *const u8);
        for bits in 0..16u64 {
            machine.log.clear();
            let object = machine.object(bits << 24);
            machine.apply(&[vec![5, object], vec![5, object]]);
            let expected = if bits & mask == trigger { vec![object] } else { vec![] };
            assert_eq!(machine.log, expected, "{bits:b} {mask:b} {trigger:b}");
        }
    }
}
