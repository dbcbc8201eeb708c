//! A machine to run candidates on: executable memory, a context, a guest stack, exit stubs that read frame states off the frame,
//! and a collector that moves everything that call sites report.

use super::super::{LowerSettings, Lowered, Target, lower};
use super::languages::Maker;
use core::arch::naked_asm;
use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::OnceLock;
use surmise_deopt::boxed::box_payload;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::context::Context;
use surmise_deopt::stubs::is_saved_register;
use surmise_deopt::table::*;
use surmise_ir::entity::{KindId, Register};
use surmise_ir::language::{Encoding, Language};

pub fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| Target::with_verifier(true).unwrap())
}

/// One frame of a captured state.
#[derive(Clone, Debug, PartialEq)]
pub struct Captured {
    pub header: FrameHeader,
    /// Boxed values in the language's encoding.
    pub registers: Vec<(u16, Vec<u64>)>,
    pub results: Vec<Vec<u64>>,
    pub open: Option<u64>,
    pub callee: Option<Vec<u64>>,
}

/// What the stubs save. The assembly below knows the offsets.
#[repr(C)]
#[derive(Default)]
struct Saved {
    callee_saved: [u64; 5],
    frame_pointer: u64,
    return_address: u64,
    stack_pointer: u64,
    results: [u64; 2],
    is_landing: u64,
    machine: u64,
}

pub struct Machine {
    pub context: Box<Context>,
    saved: Box<Saved>,
    externs: Vec<*const u8>,
    code: *mut u8,
    code_size: usize,
    pub lowered: Lowered,
    pub language: Language,
    pub stack: Vec<u64>,
    /// Where frame 0's window starts in `stack`, in words.
    pub base: usize,
    pub slots: Vec<u64>,
    slot_table: Vec<*const u8>,
    /// States captured by exits, with their reasons.
    pub exits: Vec<(ExitReason, Vec<Captured>)>,
    /// Objects that were allocated or moved: freed with the machine.
    /// Boxed, so that an object stays where it is when the list grows.
    #[allow(clippy::vec_box)]
    heap: Vec<Box<[u64; 4]>>,
    pub moved: usize,
    pub polls: usize,
    /// What poll and calling externs do with the return address.
    pub invalidate: bool,
    pub log: Vec<u64>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Two(pub u64, pub u64);

#[unsafe(naked)]
unsafe extern "C" fn guard_stub(context: *mut Context) {
    naked_asm!("xor ecx, ecx", "jmp {save}", save = sym save)
}
#[unsafe(naked)]
unsafe extern "C" fn landing_stub(context: *mut Context, first: u64, second: u64) {
    naked_asm!("mov ecx, 1", "jmp {save}", save = sym save)
}
#[unsafe(naked)]
unsafe extern "C" fn save() {
    naked_asm!(
        "mov r11, [rdi + {runtime}]",
        "mov [r11], rbx",
        "mov [r11 + 8], r12",
        "mov [r11 + 16], r13",
        "mov [r11 + 24], r14",
        "mov [r11 + 32], r15",
        "mov [r11 + 40], rbp",
        "mov rax, [rsp]",
        "mov [r11 + 48], rax",
        "lea rax, [rsp + 8]",
        "mov [r11 + 56], rax",
        "mov [r11 + 64], rsi",
        "mov [r11 + 72], rdx",
        "mov [r11 + 80], rcx",
        "push r11",
        "mov rdi, r11",
        "call {capture}",
        "pop r11",
        "ret",
        runtime = const offset_of!(Context, runtime),
        capture = sym capture,
    )
}
#[unsafe(naked)]
unsafe extern "C" fn poll_stub(context: *mut Context) {
    naked_asm!(
        "mov [rdi + {fp}], rbp",
        "lea rax, [rsp + 8]",
        "mov [rdi + {sp}], rax",
        "jmp {poll}",
        fp = const offset_of!(Context, exit_frame_pointer),
        sp = const offset_of!(Context, exit_stack_pointer),
        poll = sym poll,
    )
}
unsafe extern "C" fn poll(context: *mut Context) {
    let machine = Machine::of(context);
    machine.polls += 1;
    machine.context.poll = 0.into();
    machine.safepoint();
}
unsafe extern "C" fn capture(saved: *mut Saved) {
    // SAFETY: the stub passes what its machine gave it.
    let machine = unsafe { &mut *((*saved).machine as *mut Machine) };
    machine.capture();
}

impl Machine {
    pub fn run_with(maker: &Maker, settings: &LowerSettings) -> Box<Machine> {
        let settings = LowerSettings { listing: true, ..*settings };
        let lowered = lower(&maker.function, &maker.language, &settings, target())
            .unwrap_or_else(|error| panic!("{error}"));
        let size = lowered.image.code.len().next_multiple_of(4096);
        // SAFETY: fresh anonymous memory.
        let code = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let code = libc::mmap(std::ptr::null_mut(), size, 7, flags, -1, 0).cast::<u8>();
            std::ptr::copy_nonoverlapping(lowered.image.code.as_ptr(), code, lowered.image.code.len());
            code.add(lowered.image.number_offset as usize).cast::<u64>().write(2);
            code
        };
        surmise_deopt::check::check_image(&lowered.image, &maker.language).unwrap();
        // SAFETY: all fields are integers or pointers.
        let context = Box::new(unsafe { std::mem::zeroed::<Context>() });
        let mut machine = Box::new(Machine {
            context,
            saved: Box::default(),
            externs: Vec::new(),
            code,
            code_size: size,
            lowered,
            language: maker.language.clone(),
            stack: vec![0xdead; 4096],
            base: 64,
            slots: vec![0; 64],
            slot_table: Vec::new(),
            exits: Vec::new(),
            heap: Vec::new(),
            moved: 0,
            polls: 0,
            invalidate: false,
            log: Vec::new(),
        });
        let address = &raw mut *machine;
        machine.saved.machine = address as u64;
        machine.slot_table = vec![std::ptr::null(), std::ptr::null(), machine.slots.as_ptr().cast()];
        machine.context.runtime = (&raw mut *machine.saved).cast();
        machine.context.host_state = address.cast();
        machine.context.exit_results = [ANSWER.0, ANSWER.1];
        machine.context.guard_exit = guard_stub as *const u8;
        machine.context.landing_exit = landing_stub as *const u8;
        machine.context.poll_stub = poll_stub as *const u8;
        machine.context.effective_slots = machine.slot_table.as_ptr();
        machine.context.window_limit = machine.stack.as_mut_ptr_range().end.cast();
        machine
    }
    pub fn new(maker: &Maker) -> Box<Machine> {
        Machine::run_with(maker, &LowerSettings::default())
    }
    /// The machine that a context belongs to. Only for externs, which machines alone call.
    pub fn of<'a>(context: *mut Context) -> &'a mut Machine {
        // SAFETY: `run_with` has put the machine's address there; compiled code holds no reference to it meanwhile.
        unsafe { &mut *(*context).host_state.cast() }
    }
    pub fn set_extern(&mut self, function: *const u8) {
        self.externs.push(function);
        self.context.externs = self.externs.as_ptr();
    }
    pub fn words(&self) -> usize {
        self.language.encoding.size() as usize / 8
    }
    pub fn set_register(&mut self, register: i32, value: &[u64]) {
        let at = (self.base as i32 + register * self.words() as i32) as usize;
        self.stack[at..at + value.len()].copy_from_slice(value);
    }
    pub fn register(&self, register: i32) -> Vec<u64> {
        let at = (self.base as i32 + register * self.words() as i32) as usize;
        self.stack[at..at + self.words()].to_vec()
    }
    pub fn call(&mut self, arguments: u64) -> Two {
        // SAFETY: the candidate's own signature; its context is this machine's.
        unsafe {
            let code: extern "C" fn(*mut Context, *mut u64, u64) -> Two = std::mem::transmute(self.code);
            code(&raw mut *self.context, self.stack.as_mut_ptr().add(self.base), arguments)
        }
    }
    pub fn window(&mut self) -> *mut u64 {
        // SAFETY: inside the stack.
        unsafe { self.stack.as_mut_ptr().add(self.base) }
    }
    /// Calls with these boxed arguments.
    pub fn apply(&mut self, arguments: &[Vec<u64>]) -> Two {
        for (index, value) in arguments.iter().enumerate() {
            self.set_register(index as i32, value);
        }
        self.call(arguments.len() as u64)
    }
    /// The single boxed result of a call.
    pub fn result(&mut self, arguments: &[Vec<u64>]) -> Vec<u64> {
        let Two(first, second) = self.apply(arguments);
        match self.language.encoding {
            Encoding::Pair => {
                assert_eq!(first >> 32, 0, "one result");
                vec![first, second]
            }
            Encoding::Word => {
                assert_eq!(second, 0, "one result");
                vec![first]
            }
        }
    }
    pub fn object(&mut self, first: u64) -> u64 {
        self.heap.push(Box::new([first, first + 1, first + 2, first + 3]));
        self.heap.last().unwrap().as_ptr() as u64
    }
    fn image(&self) -> &CandidateImage {
        &self.lowered.image
    }

    /// A safepoint of the frame that recorded itself: moves all its roots, and maybe rewrites its return address.
    pub fn safepoint(&mut self) {
        let (frame_pointer, stack_pointer) =
            (self.context.exit_frame_pointer, self.context.exit_stack_pointer);
        assert_eq!(frame_pointer - stack_pointer, self.image().frame_size as usize, "frame size");
        let slot = (stack_pointer - 8) as *mut usize;
        // SAFETY: where the return address into the compiled frame stands.
        let offset = (unsafe { *slot } - self.code as usize) as u32;
        let site = self
            .image()
            .calls
            .sites
            .iter()
            .find(|site| site.return_offset == offset)
            .expect("a call site")
            .clone();
        let roots = self.image().calls.roots[site.roots.0 as usize..site.roots.1 as usize].to_vec();
        let is_pair = self.language.encoding == Encoding::Pair;
        let mut forwarded: HashMap<u64, u64> = HashMap::new();
        for root in roots {
            let place = (frame_pointer as i64 + 8 * root.offset as i64) as *mut u64;
            // SAFETY: a home in the compiled frame, as its call site says.
            unsafe {
                match (root.kind, is_pair) {
                    (RootKind::Ref, _) => *place = self.forward(*place, &mut forwarded),
                    (RootKind::Any, true) => {
                        if *place == 5 {
                            *place.add(1) = self.forward(*place.add(1), &mut forwarded);
                        }
                    }
                    (RootKind::Any, false) => {
                        if *place & 0xf == 2 {
                            *place = self.forward(*place - 2, &mut forwarded) + 2;
                        }
                    }
                }
            }
        }
        if let (true, Some(mark)) = (self.invalidate, self.image().mark_home) {
            // SAFETY: a home in the compiled frame.
            unsafe { *((frame_pointer as i64 + 8 * i64::from(mark)) as *mut u64) = 1 };
        } else if self.invalidate {
            // SAFETY: as above.
            unsafe { *slot = self.code as usize + site.landing_pad.expect("a landing pad") as usize };
        }
    }
    fn forward(&mut self, old: u64, forwarded: &mut HashMap<u64, u64>) -> u64 {
        if let Some(&new) = forwarded.get(&old) {
            return new;
        }
        // SAFETY: an object of this machine: if it were none, the test would have failed already.
        let words = unsafe { *(old as *const [u64; 4]) };
        assert_ne!(words[1], 0xdead_dead, "a root was moved before: {old:#x}");
        let new = self.object(0);
        // SAFETY: as above.
        unsafe {
            *(new as *mut [u64; 4]) = words;
            *(old as *mut [u64; 4]) = [0xdead_dead; 4];
        }
        self.moved += 1;
        forwarded.insert(old, new);
        new
    }

    fn capture(&mut self) {
        let offset = (self.saved.return_address - self.code as u64) as u32;
        let table = self.image().deopt.clone();
        let point =
            table.points.iter().position(|point| point.return_offset() == offset).expect("a deopt point");
        let mut at = table.points[point].state() as usize;
        let saved = &self.saved;
        assert_eq!(saved.frame_pointer - saved.stack_pointer, self.image().frame_size as u64, "frame size");
        // SAFETY: a word of the frame that stands below the exit stub.
        let frame_word =
            |offset: i16| unsafe { *((saved.frame_pointer as i64 + 8 * offset as i64) as *const u64) };
        assert_eq!(
            frame_word(self.image().window_home),
            self.stack[self.base..].as_ptr() as u64,
            "window home"
        );
        let word = |place: Place| match place {
            Place::Frame(offset) => frame_word(offset),
            Place::Register(number) => {
                assert!(is_saved_register(number));
                saved.callee_saved[if number == 3 { 0 } else { number as usize - 11 }]
            }
            Place::Constant(index) => table.constants[index as usize],
            Place::Result(number) => {
                assert_eq!(saved.is_landing, 1);
                saved.results[number as usize]
            }
        };
        let words = self.words();
        let value = |at: &mut usize| -> (Register, Vec<u64>) {
            let entry = Located(table.states[*at]);
            *at += 1;
            let boxed = match entry.boxing() {
                Boxing::Kind(kind) => {
                    let boxed =
                        box_payload(&self.language.kinds[KindId::from_u32(kind as u32)], word(entry.place()));
                    if words == 2 { vec![boxed.tag(), boxed.payload()] } else { vec![boxed.word()] }
                }
                Boxing::Pair => {
                    // A tag in a result register shares it with the result count.
                    let mask = if entry.place() == Place::Result(0) { 0xffff_ffff } else { !0 };
                    let next = match entry.place() {
                        Place::Frame(offset) => Place::Frame(offset + 1),
                        Place::Result(number) => Place::Result(number + 1),
                        other => panic!("{other:?} has no neighbour"),
                    };
                    vec![word(entry.place()) & mask, word(next)]
                }
                Boxing::Whole if words == 2 => {
                    let second = Located(table.states[*at]);
                    *at += 1;
                    assert_eq!((second.register(), second.boxing()), (entry.register(), Boxing::Whole));
                    // A tag in a result register shares it with the result count.
                    let mask = if entry.place() == Place::Result(0) { 0xffff_ffff } else { !0 };
                    vec![word(entry.place()) & mask, word(second.place())]
                }
                Boxing::Whole => vec![word(entry.place())],
            };
            (entry.register(), boxed)
        };
        let mut frames = Vec::new();
        let mut number = table.exit(point).header;
        loop {
            let header = table.headers[number as usize];
            let end = at + header.register_entries as usize;
            let mut registers = Vec::new();
            while at < end {
                let (register, boxed) = value(&mut at);
                registers.push((register.0, boxed));
            }
            let end = at + header.result_entries as usize;
            let mut results = Vec::new();
            while at < end {
                results.push(value(&mut at).1);
            }
            let open = header.open.map(|_| {
                at += 1;
                word(Located(table.states[at - 1]).place())
            });
            let callee = header.has_callee.then(|| value(&mut at).1);
            frames.push(Captured { header, registers, results, open, callee });
            if !header.has_parent {
                break;
            }
            number = table.states[at];
            at += 1;
        }
        self.exits.push((table.exit(point).reason, frames));
    }
    /// The registers of the single exit's innermost frame.
    pub fn only_exit(&self) -> &Captured {
        assert_eq!(self.exits.len(), 1, "exits");
        &self.exits[0].1[0]
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: mapped in `run_with`; nothing runs in it any more.
        unsafe { libc::munmap(self.code.cast(), self.code_size) };
    }
}
/// What exits return.
pub const ANSWER: Two = Two(0x600d, 0xcafe);
