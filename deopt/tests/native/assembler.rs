//! Just enough of an assembler for candidates written by hand.
//!
//! Every function here has the frame of compiled code: saved rbp, then homes at `[rbp - 8 * n]`. Home 1 holds the context, home 2
//! the window, home 3 the argument count, home 4 the caller's rbx; the rest is the test's.

use smallvec::SmallVec;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::context::offsets;
use surmise_deopt::table::{
    CallSite, CallSites, DeoptPoint, DeoptTable, Exit, ExitReason, FrameHeader, Located, Root, RootKind,
};
use surmise_ir::entity::UnitId;
use surmise_ir::function::Entry;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Recipe;

/// Hardware numbers of registers.
pub const RAX: u8 = 0;
pub const RCX: u8 = 1;
pub const RDX: u8 = 2;
pub const RBX: u8 = 3;
pub const RSI: u8 = 6;
pub const RDI: u8 = 7;

/// Bytes of every frame.
pub const FRAME_SIZE: u32 = 128;
pub const CONTEXT: i16 = -1;
pub const WINDOW: i16 = -2;
pub const ARGUMENT_COUNT: i16 = -3;
const SAVED_RBX: i16 = -4;
/// The mark of candidates made with [`Assembler::marked`].
const MARK: i16 = -10;

pub struct Assembler {
    code: Vec<u8>,
    deopt: DeoptTable,
    calls: CallSites,
    /// Where the number word's distance has to be filled in.
    number_uses: Vec<usize>,
    /// With a mark: the jumps to the landing pads, by call site.
    mark_jumps: Option<Vec<usize>>,
}

impl Assembler {
    /// A function, after its prologue.
    pub fn new() -> Assembler {
        let mut this = Assembler {
            code: Vec::new(),
            deopt: DeoptTable::default(),
            calls: CallSites::default(),
            number_uses: Vec::new(),
            mark_jumps: None,
        };
        // push rbp; mov rbp, rsp; sub rsp, FRAME_SIZE
        this.bytes(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x81, 0xec]).bytes(&FRAME_SIZE.to_le_bytes());
        this.store(RDI, CONTEXT).store(RSI, WINDOW).store(RDX, ARGUMENT_COUNT).store(RBX, SAVED_RBX)
    }
    /// A function whose frames have a mark, which is looked at behind each call.
    pub fn marked() -> Assembler {
        let mut this = Assembler::new();
        // xor eax, eax
        this.bytes(&[0x31, 0xc0]).store_home(RAX, MARK);
        this.mark_jumps = Some(Vec::new());
        this
    }
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Assembler {
        self.code.extend_from_slice(bytes);
        self
    }
    /// `mov [rbp + 8 * home], register`
    fn store(mut self, register: u8, home: i16) -> Assembler {
        self.store_home(register, home);
        self
    }
    /// `op register, [base + displacement]` or the like, with 64-bit operands.
    fn memory(&mut self, opcode: u8, register: u8, base: u8, displacement: i32) -> &mut Assembler {
        self.bytes(&[0x48, opcode, 0x80 | register << 3 | base]).bytes(&displacement.to_le_bytes())
    }
    pub fn store_home(&mut self, register: u8, home: i16) -> &mut Assembler {
        self.memory(0x89, register, 5, home as i32 * 8)
    }
    pub fn load_home(&mut self, register: u8, home: i16) -> &mut Assembler {
        self.memory(0x8b, register, 5, home as i32 * 8)
    }
    pub fn add_home(&mut self, register: u8, home: i16) -> &mut Assembler {
        self.memory(0x03, register, 5, home as i32 * 8)
    }
    pub fn load(&mut self, register: u8, base: u8, displacement: i32) -> &mut Assembler {
        self.memory(0x8b, register, base, displacement)
    }
    pub fn store_at(&mut self, register: u8, base: u8, displacement: i32) -> &mut Assembler {
        self.memory(0x89, register, base, displacement)
    }
    pub fn constant(&mut self, register: u8, value: u64) -> &mut Assembler {
        self.bytes(&[0x48, 0xb8 + register]).bytes(&value.to_le_bytes())
    }
    /// `add register, value`
    pub fn add(&mut self, register: u8, value: i32) -> &mut Assembler {
        self.bytes(&[0x48, 0x81, 0xc0 | register]).bytes(&value.to_le_bytes())
    }
    /// Restores rbx and returns.
    pub fn return_(&mut self) -> &mut Assembler {
        self.load_home(RBX, SAVED_RBX).bytes(&[0xc9, 0xc3])
    }
    /// The base of the effective slots, by way of the number word.
    pub fn slots_base(&mut self, register: u8) -> &mut Assembler {
        // mov rcx, [rip + number]; mov register, [context + effective_slots]; mov register, [register + rcx * 8]
        self.bytes(&[0x48, 0x8b, 0x0d]);
        self.number_uses.push(self.code.len());
        self.bytes(&[0; 4]).load_home(register, CONTEXT).load(register, register, offsets::EFFECTIVE_SLOTS);
        self.bytes(&[0x48, 0x8b, 0x04 | register << 3, 0xc8 | register])
    }

    fn call_site(&mut self, roots: &[(i16, RootKind)]) -> &mut Assembler {
        let from = self.calls.roots.len() as u32;
        self.calls.roots.extend(roots.iter().map(|&(offset, kind)| Root { offset, kind }));
        let roots = (from, self.calls.roots.len() as u32);
        self.calls.sites.push(CallSite {
            return_offset: self.code.len() as u32,
            landing_pad: None,
            roots,
            origin: None,
        });
        if self.mark_jumps.is_some() {
            // cmp qword ptr [rbp + mark], 0; jne pad
            self.bytes(&[0x48, 0x83, 0xbd]).bytes(&(MARK as i32 * 8).to_le_bytes()).bytes(&[0, 0x0f, 0x85]);
            let jump = self.code.len();
            self.bytes(&[0; 4]).mark_jumps.get_or_insert_default().push(jump);
        }
        self
    }
    /// `cmp qword ptr [home], 0; je` to a place that [`Assembler::bind`] says.
    pub fn jump_if_zero(&mut self, home: i16) -> usize {
        self.bytes(&[0x48, 0x83, 0xbd]).bytes(&(home as i32 * 8).to_le_bytes()).bytes(&[0, 0x0f, 0x84]);
        self.bytes(&[0; 4]);
        self.code.len() - 4
    }
    /// Where the next instruction will be.
    pub fn position(&self) -> usize {
        self.code.len()
    }
    /// `jmp` back to a position.
    pub fn jump_back(&mut self, to: usize) -> &mut Assembler {
        let distance = to as i32 - (self.code.len() as i32 + 5);
        self.bytes(&[0xe9]).bytes(&distance.to_le_bytes())
    }
    /// Calls the poll stub if somebody has asked for it.
    pub fn poll_if_asked(&mut self, roots: &[(i16, RootKind)]) -> &mut Assembler {
        // cmp dword ptr [rdi + poll], 0; je behind
        self.load_home(RDI, CONTEXT).bytes(&[0x83, 0xbf]).bytes(&offsets::POLL.to_le_bytes());
        self.bytes(&[0, 0x0f, 0x84, 0, 0, 0, 0]);
        let jump = self.code.len() - 4;
        self.poll(roots).bind(jump)
    }
    /// Jumps lead here.
    pub fn bind(&mut self, jump: usize) -> &mut Assembler {
        let distance = (self.code.len() - (jump + 4)) as u32;
        self.code[jump..jump + 4].copy_from_slice(&distance.to_le_bytes());
        self
    }
    /// Here begins the landing pad of a call site.
    pub fn landing_pad(&mut self, site: usize) -> &mut Assembler {
        let pad = self.code.len();
        self.calls.sites[site].landing_pad = Some(pad as u32);
        if let Some(jumps) = &self.mark_jumps {
            let jump = jumps[site];
            self.bind(jump);
        }
        self
    }
    /// Calls the code at an address in a register, a unit's: window and argument count are set already.
    pub fn call_unit(&mut self, target: u8, roots: &[(i16, RootKind)]) -> &mut Assembler {
        self.load_home(RDI, CONTEXT).bytes(&[0xff, 0xd0 | target]).call_site(roots)
    }
    /// Calls an extern: exit pointers first.
    pub fn call_extern(&mut self, number: u32, roots: &[(i16, RootKind)]) -> &mut Assembler {
        self.load_home(RDI, CONTEXT).store_at(5, RDI, offsets::EXIT_FRAME_POINTER);
        // mov [rdi + exit_stack_pointer], rsp: rsp is register 4
        self.store_at(4, RDI, offsets::EXIT_STACK_POINTER).load(RAX, RDI, offsets::EXTERNS);
        self.load(RAX, RAX, number as i32 * 8).bytes(&[0xff, 0xd0]).call_site(roots)
    }
    /// Calls the poll stub.
    pub fn poll(&mut self, roots: &[(i16, RootKind)]) -> &mut Assembler {
        self.load_home(RDI, CONTEXT)
            .bytes(&[0xff, 0x97])
            .bytes(&offsets::POLL_STUB.to_le_bytes())
            .call_site(roots)
    }
    /// Loads the entry cell's content from its address and calls it with the window moved up by so many registers.
    pub fn call_cell(
        &mut self,
        cell: *const u8,
        window_bytes: i32,
        arguments: u64,
        roots: &[(i16, RootKind)],
    ) -> &mut Assembler {
        self.load_home(RSI, WINDOW).add(RSI, window_bytes).constant(RDX, arguments);
        self.constant(RAX, cell as u64).load(RAX, RAX, 0).call_unit(RAX, roots)
    }
    /// A cold block: the exit call with this state, and the return of what it leaves.
    pub fn guard_exit(&mut self, frames: &[(FrameHeader, &[Located])]) -> &mut Assembler {
        self.exit(
            offsets::GUARD_EXIT,
            ExitReason::Guard(GuardReason::Kind, surmise_ir::entity::Pc(0)),
            frames,
        )
    }
    /// A landing pad's body: rax and rdx are the call's results.
    pub fn landing_exit(&mut self, frames: &[(FrameHeader, &[Located])]) -> &mut Assembler {
        // mov rsi, rax (rdx is in place)
        self.bytes(&[0x48, 0x89, 0xc6]).exit(offsets::LANDING_EXIT, ExitReason::Invalidated, frames)
    }
    fn exit(
        &mut self,
        stub: i32,
        reason: ExitReason,
        frames: &[(FrameHeader, &[Located])],
    ) -> &mut Assembler {
        self.load_home(RDI, CONTEXT).bytes(&[0xff, 0x97]).bytes(&stub.to_le_bytes());
        let state = self.deopt.states.len() as u32;
        let number = self.deopt.exits.len() as u16;
        let point = DeoptPoint::pack(self.code.len() as u32, state, number);
        self.deopt.points.push(point.expect("tests' code is small"));
        self.deopt.exits.push(Exit { reason, header: self.deopt.headers.len() as u32 });
        for (index, (header, entries)) in frames.iter().enumerate() {
            if index > 0 {
                self.deopt.states.push(self.deopt.headers.len() as u32);
            }
            self.deopt.headers.push(FrameHeader { has_parent: index + 1 < frames.len(), ..*header });
            self.deopt.states.extend(entries.iter().map(|entry| entry.0));
        }
        self.load_home(RDI, CONTEXT).load(RAX, RDI, offsets::EXIT_RESULTS);
        self.load(RDX, RDI, offsets::EXIT_RESULTS + 8).return_()
    }
    /// Adds a constant for states.
    pub fn state_constant(&mut self, value: u64) -> u16 {
        self.deopt.constants.push(value);
        self.deopt.constants.len() as u16 - 1
    }

    pub fn finish(&mut self, name: &str, unit: UnitId, slots: &[Recipe]) -> CandidateImage {
        let mut code = std::mem::take(&mut self.code);
        code.resize(code.len().next_multiple_of(8), 0xcc);
        let number_offset = code.len() as u32;
        for &place in &self.number_uses {
            let distance = number_offset - (place as u32 + 4);
            code[place..place + 4].copy_from_slice(&distance.to_le_bytes());
        }
        code.extend_from_slice(&[0xff; 8]);
        CandidateImage {
            name: name.to_owned(),
            unit,
            entry: Entry::Call,
            expects: SmallVec::new(),
            code,
            number_offset,
            frame_size: FRAME_SIZE,
            window_home: WINDOW,
            argument_count_home: Some(ARGUMENT_COUNT),
            window_size: 16,
            slots: slots.to_vec(),
            premises: Vec::new(),
            assumptions: Vec::new(),
            mark_home: self.mark_jumps.as_ref().map(|_| MARK),
            deopt: std::mem::take(&mut self.deopt),
            calls: std::mem::take(&mut self.calls),
        }
    }
}
