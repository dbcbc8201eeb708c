//! The code arena: memory for machine code, never writable and executable at once.
//!
//! One anonymous file, as long as the budget, is mapped twice: a view that can be written and a view that can be executed. Both
//! are made once and never move; pages cost memory from their first use on. Installing code needs no change of protection.
//!
//! ```text
//!            ┌─────────────── budget ───────────────┐
//!  writable  │ code A │ cc cc │ code B │ never used │   read, write
//!            └──┬─────────────────────┬─────────────┘
//!               │    the same pages   │
//!  runnable  ┌──┴─────────────────────┴─────────────┐
//!            │ code A │ cc cc │ code B │            │   read, execute
//!            └──────────────────────────────────────┘
//! ```
//!
//! Blocks are aligned to 32 bytes. A freed block is filled with `int3`, so that control which still gets there stops at once,
//! and its range goes back to the free list, joined with its neighbours.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::BTreeMap;
use thiserror::Error;

/// Alignment of code, in bytes: half of a cache line, what the decoders of current x86-64 processors fetch at a time.
pub const ALIGNMENT: usize = 32;
/// The one-byte breakpoint instruction.
const POISON: u8 = 0xcc;

/// Why there is no memory for code.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ArenaError {
    /// The budget is used up, or no free range is long enough.
    #[error(
        "no room for {requested} bytes of code: {used} of {budget} bytes are used, the longest free range has {longest}"
    )]
    Full {
        /// Bytes asked for, rounded up to the alignment.
        requested: usize,
        /// Bytes in use.
        used: usize,
        /// The whole arena.
        budget: usize,
        /// The longest free range.
        longest: usize,
    },
    /// The operating system refused the mapping.
    #[error("can't map {budget} bytes for code: {what} failed with error {errno}")]
    Mapping {
        /// The whole arena.
        budget: usize,
        /// The system call.
        what: &'static str,
        /// Its error number.
        errno: i32,
    },
    /// No native code on this target.
    #[error("native code is not supported on this target")]
    Unsupported,
}

/// What an arena holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArenaStatistics {
    /// Size of the arena in bytes.
    pub budget: usize,
    /// Bytes in blocks.
    pub used: usize,
    /// The most bytes that were in blocks at a time.
    pub peak: usize,
    /// How many blocks there are.
    pub blocks: usize,
    /// How many blocks have been freed.
    pub freed: usize,
    /// The longest free range in bytes.
    pub longest_free: usize,
}

/// A range of the arena that holds one candidate's code. It is given back with [`Arena::free`].
#[derive(PartialEq, Eq, Debug)]
pub struct Block {
    offset: usize,
    length: usize,
    address: usize,
}

impl Block {
    /// Address of the first byte in the runnable view.
    pub fn address(&self) -> usize {
        self.address
    }
    /// Its length in bytes, a multiple of the alignment.
    pub fn length(&self) -> usize {
        self.length
    }
}

struct Ranges {
    /// Free ranges by their start; no two touch.
    free: BTreeMap<usize, usize>,
    /// From here on the arena was never used.
    fresh: usize,
    statistics: ArenaStatistics,
}

/// Memory for machine code.
pub struct Arena {
    views: views::Views,
    ranges: Mutex<Ranges>,
}

impl Arena {
    /// An arena of at most this many bytes.
    pub fn new(budget: usize) -> Result<Arena, ArenaError> {
        let budget = budget.max(1).next_multiple_of(views::PAGE);
        let views = views::Views::new(budget)?;
        let statistics = ArenaStatistics { budget, ..ArenaStatistics::default() };
        let free = BTreeMap::from([(0, budget)]);
        Ok(Arena { views, ranges: Mutex::new(Ranges { free, fresh: 0, statistics }) })
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        // The lock is never held across code that can panic half-way through a change.
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies code into a block of its own.
    pub fn allocate(&self, code: &[u8]) -> Result<Block, ArenaError> {
        let length = code.len().max(1).next_multiple_of(ALIGNMENT);
        let mut ranges = self.ranges();
        let Some((offset, found)) =
            ranges.free.iter().find(|&(_, &free)| free >= length).map(|(&o, &l)| (o, l))
        else {
            let longest = ranges.free.values().copied().max().unwrap_or(0);
            let ArenaStatistics { used, budget, .. } = ranges.statistics;
            return Err(ArenaError::Full { requested: length, used, budget, longest });
        };
        ranges.free.remove(&offset);
        if found > length {
            ranges.free.insert(offset + length, found - length);
        }
        let reused = offset < ranges.fresh;
        ranges.fresh = ranges.fresh.max(offset + length);
        let statistics = &mut ranges.statistics;
        statistics.used += length;
        statistics.peak = statistics.peak.max(statistics.used);
        statistics.blocks += 1;
        drop(ranges);
        self.views.fill(offset + code.len(), length - code.len(), POISON);
        self.views.write(offset, code);
        if reused {
            self.views.synchronize();
        }
        Ok(Block { offset, length, address: self.views.runnable() + offset })
    }

    /// Takes a block back. No frame may be left in it, and no address of it may be jumped to any more.
    pub fn free(&self, block: Block) {
        let Block { mut offset, mut length, .. } = block;
        self.views.fill(offset, length, POISON);
        let mut ranges = self.ranges();
        ranges.statistics.used -= length;
        ranges.statistics.blocks -= 1;
        ranges.statistics.freed += 1;
        if let Some((&before, &before_length)) = ranges.free.range(..offset).next_back()
            && before + before_length == offset
        {
            ranges.free.remove(&before);
            (offset, length) = (before, before_length + length);
        }
        if let Some(after) = ranges.free.remove(&(offset + length)) {
            length += after;
        }
        ranges.free.insert(offset, length);
    }

    /// What the arena holds.
    pub fn statistics(&self) -> ArenaStatistics {
        let ranges = self.ranges();
        ArenaStatistics {
            longest_free: ranges.free.values().copied().max().unwrap_or(0),
            ..ranges.statistics
        }
    }

    /// The bytes at a block's place in the runnable view, for tests and listings.
    pub fn bytes(&self, block: &Block) -> Vec<u8> {
        self.views.read(block.offset, block.length)
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod views {
    use super::ArenaError;
    use std::sync::{Once, OnceLock};

    pub const PAGE: usize = 4096;

    /// The two views of one anonymous file.
    pub struct Views {
        writable: *mut u8,
        runnable: *mut u8,
        length: usize,
    }

    // SAFETY: the views are plain shared memory that is unmapped only by `drop`; who writes which range is decided by the
    // arena's list of ranges, which is behind a lock.
    unsafe impl Send for Views {}
    // SAFETY: as above.
    unsafe impl Sync for Views {}

    fn error(budget: usize, what: &'static str) -> ArenaError {
        ArenaError::Mapping {
            budget,
            what,
            errno: std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
        }
    }

    /// Set when the process is registered for [`Views::synchronize`].
    static REGISTERED: OnceLock<()> = OnceLock::new();

    /// Registers the process for [`Views::synchronize`], once. In a process with several threads the kernel takes some ten
    /// milliseconds for it, as long as a short program runs: a thread of its own waits for that, and whoever installs code first.
    fn register() {
        static STARTED: Once = Once::new();
        fn call() {
            // Where the kernel is too old, this call and those for which it registers fail, and are not needed in practice: the
            // processors that matter watch physical addresses.
            // SAFETY: the system call takes no pointers.
            unsafe {
                libc::syscall(
                    libc::SYS_membarrier,
                    libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
                    0,
                    0,
                )
            };
            REGISTERED.get_or_init(|| ());
        }
        STARTED.call_once(|| {
            let builder = std::thread::Builder::new().name("surmise arena".to_owned());
            if builder.spawn(call).is_err() {
                call();
            }
        });
    }

    impl Views {
        pub fn new(length: usize) -> Result<Views, ArenaError> {
            let size =
                libc::off_t::try_from(length).map_err(|_| error(length, "the conversion of the length"))?;
            // SAFETY: the name is a C string; the call touches no other memory.
            let file = unsafe { libc::memfd_create(c"surmise-code".as_ptr(), libc::MFD_CLOEXEC) };
            if file < 0 {
                return Err(error(length, "memfd_create"));
            }
            let map = |protection: i32| {
                // SAFETY: a new mapping at an address of the system's choice; it replaces nothing.
                let address = unsafe {
                    libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file, 0)
                };
                if address == libc::MAP_FAILED {
                    Err(error(length, "mmap"))
                } else {
                    Ok(address.cast::<u8>())
                }
            };
            // SAFETY: `file` is the descriptor just made.
            let views = if unsafe { libc::ftruncate(file, size) } != 0 {
                Err(error(length, "ftruncate"))
            } else {
                map(libc::PROT_READ | libc::PROT_WRITE).and_then(|writable| {
                    let runnable = map(libc::PROT_READ | libc::PROT_EXEC).inspect_err(|_| {
                        // SAFETY: the mapping was made just above and nobody knows its address.
                        unsafe { libc::munmap(writable.cast(), length) };
                    })?;
                    Ok(Views { writable, runnable, length })
                })
            };
            // SAFETY: the descriptor is ours; mappings keep the file alive.
            unsafe { libc::close(file) };
            register();
            views
        }
        pub fn runnable(&self) -> usize {
            self.runnable as usize
        }
        pub fn write(&self, offset: usize, bytes: &[u8]) {
            assert!(offset + bytes.len() <= self.length, "code lies inside the arena");
            // SAFETY: the range lies inside the writable view (checked) and belongs to the caller's block alone.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.writable.add(offset), bytes.len()) };
        }
        pub fn fill(&self, offset: usize, length: usize, byte: u8) {
            assert!(offset + length <= self.length, "code lies inside the arena");
            // SAFETY: as in `write`.
            unsafe { self.writable.add(offset).write_bytes(byte, length) };
        }
        pub fn read(&self, offset: usize, length: usize) -> Vec<u8> {
            assert!(offset + length <= self.length, "code lies inside the arena");
            // SAFETY: inside the runnable view (checked), which can be read; the block's owner is the only writer.
            unsafe { std::slice::from_raw_parts(self.runnable.add(offset), length) }.to_vec()
        }
        /// Makes every core that runs this process drop instructions that it fetched before: code was written over older code
        /// through another address, for which the architecture asks for a serializing instruction on each core.
        pub fn synchronize(&self) {
            REGISTERED.wait();
            // SAFETY: the system call takes no pointers.
            unsafe {
                libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0)
            };
        }
    }

    impl Drop for Views {
        fn drop(&mut self) {
            // SAFETY: both are mappings of this length that nothing else unmaps; whoever drops the arena has no code left.
            unsafe {
                libc::munmap(self.writable.cast(), self.length);
                libc::munmap(self.runnable.cast(), self.length);
            }
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod views {
    use super::ArenaError;

    pub const PAGE: usize = 4096;

    /// There is no view on this target: `new` fails.
    pub enum Views {}

    impl Views {
        pub fn new(_: usize) -> Result<Views, ArenaError> {
            Err(ArenaError::Unsupported)
        }
        pub fn runnable(&self) -> usize {
            match *self {}
        }
        pub fn write(&self, _: usize, _: &[u8]) {
            match *self {}
        }
        pub fn fill(&self, _: usize, _: usize, _: u8) {
            match *self {}
        }
        pub fn read(&self, _: usize, _: usize) -> Vec<u8> {
            match *self {}
        }
        pub fn synchronize(&self) {
            match *self {}
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_poisoned_and_joined() {
        let arena = Arena::new(4096).expect("a page of code");
        let a = arena.allocate(&[0x90; 40]).expect("room");
        let b = arena.allocate(&[0x91; 32]).expect("room");
        let c = arena.allocate(&[0x92; 1]).expect("room");
        assert_eq!((a.address() % ALIGNMENT, a.length(), b.length(), c.length()), (0, 64, 32, 32));
        assert_eq!(arena.bytes(&a)[38..42], [0x90, 0x90, POISON, POISON]);
        let (place, hole) = (a.address(), Block { offset: a.offset, ..a });
        arena.free(a);
        assert_eq!(arena.bytes(&hole), [POISON; 64]);
        arena.free(b);
        // The two ranges became one, in which 96 bytes fit.
        let d = arena.allocate(&[0x93; 96]).expect("room");
        assert_eq!(d.address(), place);
        arena.free(c);
        arena.free(d);
        let end = arena.statistics();
        assert_eq!((end.used, end.blocks, end.freed, end.longest_free, end.peak), (0, 0, 4, 4096, 128));
    }

    #[test]
    fn the_budget_is_an_error_with_numbers() {
        let arena = Arena::new(4096).expect("a page of code");
        let whole = arena.allocate(&[0; 4000]).expect("room");
        let error = arena.allocate(&[0; 100]).expect_err("no room");
        assert_eq!(error, ArenaError::Full { requested: 128, used: 4000, budget: 4096, longest: 96 });
        assert!(error.to_string().contains("4000 of 4096"), "{error}");
        arena.free(whole);
        assert!(arena.allocate(&[0; 4096]).is_ok());
    }
}
