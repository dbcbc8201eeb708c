//! From the code generator's form of a function to a candidate image: compiles it, resolves its relocations, reads off where
//! everything is, builds the tables.

use super::error::LowerError;
use super::tables::{self, FrameShape, Tables};
use super::target::{Scratch, Target};
use super::trampolines::Trampoline;
use super::{LowerSettings, LowerStatistics, Lowered, NUMBER_WORD, Translated, listing};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, UserExternalName, UserExternalNameRef};
use cranelift_codegen::{CompiledCode, FinalizedRelocTarget};
use cranelift_entity::PrimaryMap;
use surmise_deopt::candidate::CandidateImage;
use surmise_ir::analysis::entry;
use surmise_ir::function::Function;

/// The strictest alignment that machine code may ask of the place it is installed at.
const MAXIMAL_ALIGNMENT: u32 = 16;

pub(super) fn compile(
    function: &Function,
    settings: &LowerSettings,
    target: &Target,
    scratch: &mut Scratch,
    made: Translated,
) -> Result<Lowered, LowerError> {
    let context = &mut scratch.context;
    let isa = target.isa();
    context.compile(isa, &mut ControlPlane::default()).map_err(|error| {
        LowerError::Cranelift(cranelift_codegen::print_errors::pretty_error(error.func, error.inner))
    })?;
    let code = context
        .take_compiled_code()
        .ok_or_else(|| LowerError::Cranelift("it compiled, but gave no code".to_owned()))?;
    let shape = FrameShape::new(&code, made.home_slot)?;
    let (exits, calls) = made.records.counts();
    let text = settings.listing.then(|| listing::listing(&code, isa, &made.records, function)).transpose()?;
    let mut tables = tables::build_tables(&code, made.records, shape)?;
    let names = context.func.params.user_named_funcs();
    let (bytes, number_offset) = finish_code(&code, names, shape, &mut tables)?;
    let statistics = LowerStatistics {
        instructions: function.inst_count() as u32,
        code_bytes: bytes.len() as u32,
        exits,
        calls,
        homes: made.home_count,
    };
    let window_home = shape.home(0)?;
    let argument_count_home = made.argument_count_home.map(|word| shape.home(word)).transpose()?;
    let mark_home = made.mark_home.map(|word| shape.home(word)).transpose()?;
    let image = CandidateImage {
        name: function.name.clone(),
        unit: function.unit,
        entry: function.entry,
        expects: entry::expectations(function),
        code: bytes,
        number_offset,
        frame_size: shape.size,
        window_home,
        argument_count_home,
        mark_home,
        window_size: function.window_size(),
        slots: function.slots.values().copied().collect(),
        assumptions: function.assumptions().collect(),
        premises: function.premises.clone(),
        deopt: tables.deopt,
        calls: tables.calls,
    };
    Ok(Lowered { image, listing: text, statistics })
}

/// The code with the trampolines and the number word behind it, and where that is. References to them are resolved here; there
/// may be no others.
fn finish_code(
    code: &CompiledCode,
    names: &PrimaryMap<UserExternalNameRef, UserExternalName>,
    shape: FrameShape,
    tables: &mut Tables,
) -> Result<(Vec<u8>, u32), LowerError> {
    if code.buffer.alignment > MAXIMAL_ALIGNMENT {
        return Err(LowerError::TooLarge {
            what: "alignment of the machine code",
            found: code.buffer.alignment as usize,
            limit: MAXIMAL_ALIGNMENT as usize,
        });
    }
    let mut bytes = code.code_buffer().to_vec();
    let mut places: Vec<(UserExternalName, u32)> = Vec::new();
    for name in names.values() {
        if let Some(trampoline) = Trampoline::from_name(name) {
            places.push((name.clone(), bytes.len() as u32));
            trampoline.assemble(shape, &mut bytes)?;
        }
    }
    for &site in &tables.float_sites {
        let site = &mut tables.calls.sites[site];
        if let Some(pad) = site.landing_pad {
            site.landing_pad = Some(bytes.len() as u32);
            deliver_float(pad, &mut bytes);
        }
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0xcc);
    let number_offset = bytes.len() as u32;
    places.push((NUMBER_WORD, number_offset));
    bytes.extend_from_slice(&0u64.to_le_bytes());
    for relocation in code.buffer.relocs() {
        let place = match &relocation.target {
            FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
                places.iter().find(|(known, _)| names[*name] == *known).map(|&(_, offset)| offset)
            }
            _ => None,
        };
        let (Some(place), Reloc::X86CallPCRel4 | Reloc::X86PCRel4) = (place, relocation.kind) else {
            return Err(LowerError::Relocation(format!("{:?} ({:?})", relocation.target, relocation.kind)));
        };
        let distance = i64::from(place) + relocation.addend - i64::from(relocation.offset);
        let distance = i32::try_from(distance).map_err(|_| LowerError::TooLarge {
            what: "machine code in bytes",
            found: bytes.len(),
            limit: i32::MAX as usize,
        })?;
        let at = relocation.offset as usize;
        bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    }
    Ok((bytes, number_offset))
}

/// Landing pads find results in rax and rdx. One whose call has left a float in xmm0 begins here: `movq rax, xmm0; jmp pad`.
fn deliver_float(pad: u32, bytes: &mut Vec<u8>) {
    bytes.extend([0x66, 0x48, 0x0f, 0x7e, 0xc0, 0xe9]);
    let distance = pad.wrapping_sub(bytes.len() as u32 + 4);
    bytes.extend(distance.to_le_bytes());
}
