//! The old space: objects that never move, in blocks of equal cells.
//!
//! ```text
//! block (32 KiB)            | header | cell | cell | ...            | never used yet   |
//!                                                    ^ fresh
//! free cell                 0 (no object kind is 0): u64 | next free cell
//! ```
//!
//! Objects above [`MAXIMUM_CELL`] bytes are allocated one by one by the global allocator. Blocks are taken from it too, and
//! given back when a sweep finds them empty.
//!
//! What must hold: below `fresh`, every cell begins with a valid header or with a zero word, so a block can be walked.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use crate::object::{FLAG_MARKED, Header, LuaString, ObjectKind, object_size};

/// Bytes of a block: small enough that a little program is not charged for its many size classes, large enough that the
/// slow path is rare.
const BLOCK_BYTES: usize = 32 << 10;
/// Where the first cell lies.
const FIRST_CELL: usize = 64;
/// The largest object in a block.
pub const MAXIMUM_CELL: usize = 2048;
/// Up to here, classes are eight bytes apart: no space is lost for tables, cells, closures and short strings.
const FINE_LIMIT: usize = 256;
const FINE_CLASSES: usize = FINE_LIMIT / 8 + 1;
/// Above, classes fit buffers of 16, 32 and 64 values, and hash parts of 8, 16 and 32 entries.
const COARSE_SIZES: [usize; 14] =
    [288, 352, 416, 480, 544, 608, 672, 800, 928, 1056, 1184, 1312, 1664, MAXIMUM_CELL];
const CLASS_COUNT: usize = FINE_CLASSES + COARSE_SIZES.len();
/// Empty blocks kept for the next allocation instead of being given back.
const SPARE_BLOCKS: usize = 16;

/// Coarse class by `(size + 31) / 32`.
const COARSE_CLASS: [u8; MAXIMUM_CELL / 32 + 1] = {
    let mut table = [0u8; MAXIMUM_CELL / 32 + 1];
    let mut step = 0;
    while step < table.len() {
        let mut class = 0;
        while COARSE_SIZES[class] < step * 32 {
            class += 1;
        }
        table[step] = (FINE_CLASSES + class) as u8;
        step += 1;
    }
    table
};

#[repr(C)]
struct FreeCell {
    zero: u64,
    next: *mut FreeCell,
}

#[repr(C)]
struct Block {
    free: *mut FreeCell,
    fresh: *mut u8,
    cell: usize,
}

impl Block {
    fn layout() -> Layout {
        Layout::from_size_align(BLOCK_BYTES, 64).expect("the block size is a power of two")
    }
    fn first(block: *mut Block) -> *mut u8 {
        (block as *mut u8).wrapping_add(FIRST_CELL)
    }
    fn limit(block: *mut Block, cell: usize) -> *mut u8 {
        Block::first(block).wrapping_add((BLOCK_BYTES - FIRST_CELL) / cell * cell)
    }
}

struct SizeClass {
    free: *mut FreeCell,
    /// Never used cells of the current block.
    fresh: *mut u8,
    limit: *mut u8,
    cell: usize,
    current: *mut Block,
    blocks: Vec<*mut Block>,
    /// Blocks with free cells that wait to become the current one.
    partial: Vec<*mut Block>,
}

/// All old objects.
pub struct OldSpace {
    classes: [SizeClass; CLASS_COUNT],
    large: Vec<*mut Header>,
    spare: Vec<*mut Block>,
    /// Bytes of all cells and large objects in use.
    pub bytes: usize,
    /// Number of `bytes` at which a collection is wanted; looked at on slow paths only.
    pub threshold: usize,
}

/// Who is told by the sweep about some objects.
pub trait SweepObserver {
    /// A string that lives.
    fn keep_string(&mut self, string: *mut LuaString);
    /// A userdata or thread that dies; its memory goes next.
    fn drop_owner(&mut self, object: *mut Header);
}

fn large_layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).expect("an object is smaller than half of the address space")
}

#[inline(always)]
fn class_of(size: usize) -> usize {
    if size <= FINE_LIMIT { size.div_ceil(8) } else { COARSE_CLASS[size.div_ceil(32)] as usize }
}

impl OldSpace {
    /// An empty space.
    pub fn new(threshold: usize) -> OldSpace {
        OldSpace {
            classes: std::array::from_fn(|class| SizeClass {
                free: std::ptr::null_mut(),
                fresh: std::ptr::null_mut(),
                limit: std::ptr::null_mut(),
                cell: if class < FINE_CLASSES {
                    (class * 8).max(size_of::<FreeCell>())
                } else {
                    COARSE_SIZES[class - FINE_CLASSES]
                },
                current: std::ptr::null_mut(),
                blocks: Vec::new(),
                partial: Vec::new(),
            }),
            large: Vec::new(),
            spare: Vec::new(),
            bytes: 0,
            threshold,
        }
    }

    /// Memory for an object of `size` bytes, not initialized; null when a slow path is needed.
    #[inline(always)]
    pub fn allocate_fast(&mut self, size: usize) -> *mut u8 {
        if size > MAXIMUM_CELL {
            return std::ptr::null_mut();
        }
        let class = &mut self.classes[class_of(size)];
        let cell = class.free;
        // SAFETY: the free list holds free cells of this class; `fresh..limit` are cells of the current block.
        unsafe {
            if !cell.is_null() {
                class.free = (*cell).next;
                self.bytes += class.cell;
                return cell as *mut u8;
            }
        }
        if class.fresh != class.limit {
            let cell = class.fresh;
            class.fresh = cell.wrapping_add(class.cell);
            self.bytes += class.cell;
            return cell;
        }
        std::ptr::null_mut()
    }

    /// The same when the fast path failed. Afterwards `bytes` may be above `threshold`.
    #[cold]
    #[inline(never)]
    pub fn allocate_slow(&mut self, size: usize) -> *mut u8 {
        if size > MAXIMUM_CELL {
            // SAFETY: the layout's size is not zero.
            let memory = unsafe { alloc(large_layout(size)) };
            if memory.is_null() {
                handle_alloc_error(large_layout(size));
            }
            self.large.push(memory as *mut Header);
            self.bytes += size;
            return memory;
        }
        let class = &mut self.classes[class_of(size)];
        // SAFETY: blocks in the lists are live; a new one is initialized before it is entered.
        unsafe {
            if !class.current.is_null() {
                (*class.current).fresh = class.fresh;
                (*class.current).free = std::ptr::null_mut();
            }
            let block = class.partial.pop().unwrap_or_else(|| {
                let block = self.spare.pop().unwrap_or_else(|| {
                    let block = alloc(Block::layout()) as *mut Block;
                    if block.is_null() {
                        handle_alloc_error(Block::layout());
                    }
                    block
                });
                *block = Block { free: std::ptr::null_mut(), fresh: Block::first(block), cell: class.cell };
                class.blocks.push(block);
                block
            });
            class.current = block;
            class.free = (*block).free;
            class.fresh = (*block).fresh;
            class.limit = Block::limit(block, class.cell);
        }
        let cell = self.allocate_fast(size);
        assert!(!cell.is_null(), "a new or partial block has a free cell");
        cell
    }

    /// Frees an object at once, whose only owner says so. For a large object this searches the list from its end.
    pub fn free(&mut self, object: *mut Header, size: usize) {
        // SAFETY: the caller owns the object, which lies in a cell of its size's class or was allocated as large.
        unsafe {
            if size > MAXIMUM_CELL {
                let place = self.large.iter().rposition(|o| *o == object);
                self.large.swap_remove(place.expect("a large object is in the list"));
                self.bytes -= size;
                dealloc(object as *mut u8, large_layout(size));
            } else {
                let class = &mut self.classes[class_of(size)];
                let cell = object as *mut FreeCell;
                *cell = FreeCell { zero: 0, next: class.free };
                class.free = cell;
                self.bytes -= class.cell;
            }
        }
    }

    /// Frees every object that is not marked, and clears the marks.
    pub fn sweep(&mut self, observer: &mut impl SweepObserver) {
        let mut bytes = 0;
        for class in &mut self.classes {
            if !class.current.is_null() {
                // SAFETY: the current block is live.
                unsafe { (*class.current).fresh = class.fresh };
            }
            class.partial.clear();
            let cell = class.cell;
            let mut kept = Vec::with_capacity(class.blocks.len());
            for &block in &class.blocks {
                // SAFETY: the block is live and can be walked (module comment).
                let live = unsafe { sweep_block(block, cell, observer) };
                if live == 0 {
                    self.spare.push(block);
                    continue;
                }
                bytes += live * cell;
                kept.push(block);
                // SAFETY: as above.
                unsafe {
                    if !(*block).free.is_null() || (*block).fresh != Block::limit(block, cell) {
                        class.partial.push(block);
                    }
                }
            }
            class.blocks = kept;
            // Lowest addresses, and oldest neighbours, are filled first.
            class.partial.reverse();
            class.current = std::ptr::null_mut();
            class.free = std::ptr::null_mut();
            class.fresh = std::ptr::null_mut();
            class.limit = std::ptr::null_mut();
        }
        self.large.retain(|&object| {
            // SAFETY: objects in the list are live until they are freed here.
            unsafe {
                if (*object).flags & FLAG_MARKED != 0 {
                    (*object).flags &= !FLAG_MARKED;
                    bytes += object_size(object);
                    return true;
                }
                dealloc(object as *mut u8, large_layout(object_size(object)));
                false
            }
        });
        self.bytes = bytes;
        while self.spare.len() > SPARE_BLOCKS {
            let block = self.spare.pop().expect("the list is longer than that");
            // SAFETY: no object is left in a spare block.
            unsafe { dealloc(block as *mut u8, Block::layout()) };
        }
    }

    /// Calls `visit` for every object.
    pub fn each(&self, visit: &mut dyn FnMut(*mut Header)) {
        for class in &self.classes {
            for &block in &class.blocks {
                // SAFETY: the block can be walked up to its first fresh cell.
                unsafe {
                    let fresh = if block == class.current { class.fresh } else { (*block).fresh };
                    let mut cell = Block::first(block);
                    while cell != fresh {
                        if (cell as *const u64).read() as u8 != 0 {
                            visit(cell as *mut Header);
                        }
                        cell = cell.add((*block).cell);
                    }
                }
            }
        }
        for &object in &self.large {
            visit(object);
        }
    }
}

/// Sweeps one block and makes its list of free cells, in the order of addresses; returns how many live cells there are.
unsafe fn sweep_block(block: *mut Block, cell_bytes: usize, observer: &mut impl SweepObserver) -> usize {
    const KIND: u64 = 0xFF;
    const MARKED: u64 = (FLAG_MARKED as u64) << 8;
    const STRING: u64 = ObjectKind::String as u64;
    let mut live = 0;
    // SAFETY: cells below `fresh` begin with a header or a zero word.
    unsafe {
        let mut cell = Block::first(block);
        let end = (*block).fresh;
        let mut tail = std::ptr::addr_of_mut!((*block).free);
        while cell != end {
            let word = (cell as *const u64).read();
            if word & MARKED != 0 {
                (cell as *mut u64).write(word & !MARKED);
                live += 1;
                if word & KIND == STRING {
                    observer.keep_string(cell as *mut LuaString);
                }
            } else {
                if word & KIND != 0 {
                    if word & KIND == ObjectKind::Userdata as u64 || word & KIND == ObjectKind::Thread as u64
                    {
                        observer.drop_owner(cell as *mut Header);
                    }
                    (cell as *mut u64).write(0);
                }
                *tail = cell as *mut FreeCell;
                tail = std::ptr::addr_of_mut!((*(cell as *mut FreeCell)).next);
            }
            cell = cell.add(cell_bytes);
        }
        *tail = std::ptr::null_mut();
    }
    live
}

impl Drop for OldSpace {
    fn drop(&mut self) {
        // SAFETY: the space owns its blocks and large objects, and nobody uses them after it.
        unsafe {
            for class in &self.classes {
                for &block in &class.blocks {
                    dealloc(block as *mut u8, Block::layout());
                }
            }
            for &block in &self.spare {
                dealloc(block as *mut u8, Block::layout());
            }
            for &object in &self.large {
                dealloc(object as *mut u8, large_layout(object_size(object)));
            }
        }
    }
}
