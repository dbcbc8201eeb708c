//! Tests of allocation and collection.

use std::cell::Cell as RustCell;
use std::rc::Rc;

use super::testing::{Random, TestRoots, safepoint, stressed_heap};
use super::*;
use crate::object::FLAG_MARKED;
use crate::table;
use crate::value::Tag;

fn table_with(heap: &mut Heap, number: i64) -> Value {
    let table = heap.new_table(1, 0);
    table::append(heap, table, Value::int(number));
    Value::table(table)
}

fn number_of(value: Value) -> i64 {
    table::get_int(value.as_table(), 1).as_int()
}

#[test]
fn objects_survive_by_roots_cells_closures_and_tables() {
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    for round in 0..50 {
        let inner = table_with(&mut heap, round);
        let cell = heap.new_cell(inner);
        let closure = heap.new_closure(std::ptr::null_mut(), 2);
        // SAFETY: the closure was just made with two upvalues.
        unsafe {
            *LuaClosure::upvalues(closure) = Value::cell(cell);
            *LuaClosure::upvalues(closure).add(1) = Value::int(round);
        }
        let outer = heap.new_table(0, 2);
        let key = heap.intern(b"closure");
        table::set_string(&mut heap, outer, key, Value::closure(closure));
        roots.push(Value::table(outer));
        safepoint(&mut heap, &mut roots);
    }
    heap.collect_full(&mut roots).expect("no limit");
    for round in 0..50 {
        let key = heap.intern(b"closure");
        let closure = table::get_string(roots.table(round), key).as_closure();
        // SAFETY: the closure has two upvalues, the first a cell.
        unsafe {
            let cell = (*LuaClosure::upvalues(closure)).as_cell();
            assert_eq!(number_of((*cell).value), round as i64);
            assert_eq!((*LuaClosure::upvalues(closure).add(1)).as_int(), round as i64);
        }
    }
    roots.values.clear();
    heap.collect_full(&mut roots).expect("no limit");
    let mut tables = 0;
    // SAFETY: objects of the walk are live.
    heap.old.each(&mut |object| tables += unsafe { (*object).kind == ObjectKind::Table as u8 } as usize);
    assert_eq!(tables, 0, "nothing keeps a table alive");
}

#[test]
fn random_graphs_survive_collections() {
    for seed in 1..12 {
        let mut random = Random::new(seed);
        let mut heap = Heap::new(HeapSettings {
            nursery_bytes: 256 << random.below(6),
            full_minimum: 32 << 10,
            stress: true,
            ..HeapSettings::default()
        });
        let mut roots = TestRoots::default();
        // Node i is a table {i, link, link}; `links` says where its links lead.
        let mut links: Vec<[usize; 2]> = Vec::new();
        for step in 0..600usize {
            let node = heap.new_table(random.below(4) as u32, 0);
            table::append(&mut heap, node, Value::int(step as i64));
            let place = roots.push(Value::table(node));
            let mut targets = [0; 2];
            for (slot, target) in targets.iter_mut().enumerate() {
                *target = random.below(place as u64 + 1) as usize;
                table::set_int(&mut heap, node, slot as i64 + 2, roots.values[*target]);
            }
            links.push(targets);
            // Change an old node.
            let changed = random.below(place as u64 + 1) as usize;
            let slot = random.below(2) as usize;
            links[changed][slot] = place;
            table::set_int(&mut heap, roots.table(changed), slot as i64 + 2, Value::table(node));
            if random.once_in(3) {
                safepoint(&mut heap, &mut roots);
            }
            if random.once_in(100) {
                heap.collect_full(&mut roots).expect("no limit");
            }
        }
        for (place, targets) in links.iter().enumerate() {
            assert_eq!(number_of(roots.values[place]), place as i64);
            for (slot, target) in targets.iter().enumerate() {
                let link = table::get_int(roots.table(place), slot as i64 + 2);
                assert!(link.same_bits(roots.values[*target]), "seed {seed} node {place} link {slot}");
            }
        }
    }
}

#[test]
fn large_arrays_remember_by_cards() {
    let mut heap = Heap::new(HeapSettings { nursery_bytes: 4096, stress: true, ..HeapSettings::default() });
    let mut roots = TestRoots::default();
    let big = heap.new_table(0, 0);
    roots.push(Value::table(big));
    const COUNT: i64 = 5000;
    for index in 1..=COUNT {
        let big = roots.table(0);
        let element = if index % 3 == 0 { table_with(&mut heap, index) } else { Value::int(index) };
        table::set_int(&mut heap, big, index, element);
        if index % 50 == 0 {
            safepoint(&mut heap, &mut roots);
        }
    }
    heap.collect_minor(&mut roots);
    let big = roots.table(0);
    // SAFETY: the table is live.
    assert!(Buffer::is_carded(unsafe { (*big).array }));
    let mut random = Random::new(7);
    for step in 0..300 {
        let index = 1 + random.below(COUNT as u64) as i64;
        let fresh = table_with(&mut heap, index);
        table::set_int(&mut heap, roots.table(0), index, fresh);
        let name = heap.intern(b"name");
        if step % 7 == 0 {
            let named = table_with(&mut heap, step);
            table::set_string(&mut heap, roots.table(0), name, named);
        }
        if step % 11 == 0 {
            // A barrier without a place.
            let index = 1 + random.below(COUNT as u64) as i64;
            let fresh = table_with(&mut heap, index);
            // SAFETY: the index is inside the array part.
            unsafe { *table::element(roots.table(0), index) = fresh };
            heap.barrier(roots.values[0].as_header());
        }
        if step % 5 == 0 {
            heap.collect_minor(&mut roots);
        }
    }
    heap.collect_full(&mut roots).expect("no limit");
    for index in 1..=COUNT {
        let element = table::get_int(roots.table(0), index);
        assert_eq!(if element.is_int() { element.as_int() } else { number_of(element) }, index);
    }
}

#[test]
fn large_buffers_of_dead_young_tables_are_freed_at_once() {
    let mut heap = Heap::new(HeapSettings { nursery_bytes: 64 << 10, ..HeapSettings::default() });
    let mut roots = TestRoots::default();
    for _ in 0..200 {
        heap.new_table(20_000, 0);
        heap.collect_minor(&mut roots);
    }
    assert!(heap.used_bytes() < 1 << 20, "{} bytes are in use", heap.used_bytes());
}

#[test]
fn strings_are_interned_and_collected() {
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    let kept = heap.intern(b"kept");
    roots.push(Value::string(kept));
    let long = heap.intern(&[b'x'; 100]);
    roots.push(Value::string(long));
    let before = heap.strings.len();
    for number in 0..10_000 {
        heap.intern(format!("temporary {number}").as_bytes());
        safepoint(&mut heap, &mut roots);
    }
    heap.collect_full(&mut roots).expect("no limit");
    assert_eq!(heap.strings.len(), before);
    assert_eq!(heap.intern(b"kept"), kept);
    assert_ne!(heap.intern(&[b'x'; 100]), long);
    assert!(crate::string::equals(heap.intern(&[b'x'; 100]), long));
    assert_eq!(heap.concatenate(&[b"ke", b"", b"pt"]), kept);
    for length in 0..200usize {
        let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let string = heap.intern(&bytes);
        assert_eq!(LuaString::bytes(string), &bytes[..]);
        assert_eq!(LuaString::is_interned(string), length <= crate::string::MAXIMUM_INTERNED);
    }
}

struct Counted(Rc<RustCell<u32>>);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn userdata_drop_their_payload() {
    let drops = Rc::new(RustCell::new(0));
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    let metatable = heap.new_table(0, 0);
    let kept = heap.new_userdata(metatable, Box::new(Counted(drops.clone())));
    roots.push(Value::userdata(kept));
    heap.new_userdata(std::ptr::null_mut(), Box::new(Counted(drops.clone())));
    heap.collect_minor(&mut roots);
    assert_eq!(drops.get(), 0);
    heap.collect_full(&mut roots).expect("no limit");
    assert_eq!(drops.get(), 1);
    // SAFETY: the userdata is a root.
    assert!(!unsafe { (*kept).metatable }.is_null());
    drop(heap);
    assert_eq!(drops.get(), 2);
}

struct Payload(Vec<Value>, Rc<RustCell<u32>>);
impl ThreadPayload for Payload {
    fn visit(&mut self, visitor: &mut Visitor) {
        visitor.range(self.0.as_mut_ptr(), self.0.len());
    }
}
impl Drop for Payload {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
    }
}

#[test]
fn threads_keep_what_their_payload_shows() {
    let drops = Rc::new(RustCell::new(0));
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    let inner = table_with(&mut heap, 42);
    let thread = heap.new_thread(Box::new(Payload(vec![inner], drops.clone())));
    roots.push(Value::thread(thread));
    for _ in 0..3 {
        heap.collect_minor(&mut roots);
        heap.collect_full(&mut roots).expect("no limit");
    }
    // SAFETY: the thread is a root; its payload is what was put in.
    let payload: &mut dyn ThreadPayload = unsafe { &mut **(*thread).payload.as_mut().expect("it has one") };
    let mut found = Vec::new();
    payload.visit(&mut Visitor::collecting(&mut heap, &mut found));
    assert_eq!(number_of(found[0]), 42);
    roots.values.clear();
    heap.collect_full(&mut roots).expect("no limit");
    assert_eq!(drops.get(), 1);
}

fn weak_table(heap: &mut Heap, mode: &str) -> *mut Table {
    let metatable = heap.new_table(0, 1);
    let name = heap.event_names[Event::Mode as usize];
    let mode = Value::string(heap.intern(mode.as_bytes()));
    table::set_string(heap, metatable, name, mode);
    let weak = heap.new_table(0, 0);
    table::set_metatable(heap, weak, metatable);
    weak
}

fn count(table: *mut Table) -> usize {
    let mut position = table::Position::START;
    let mut count = 0;
    while let Some((behind, _, _)) = table::advance(table, position) {
        position = behind;
        count += 1;
    }
    count
}

#[test]
fn weak_values_go_and_strings_stay() {
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    let weak = weak_table(&mut heap, "v");
    roots.push(Value::table(weak));
    for index in 1..=10 {
        let value = table_with(&mut heap, index);
        if index == 4 {
            roots.push(value);
        }
        table::set_int(&mut heap, roots.table(0), index, value);
    }
    let string = Value::string(heap.intern(b"a value"));
    let key = heap.intern(b"key");
    table::set_string(&mut heap, roots.table(0), key, string);
    let dead = table_with(&mut heap, 0);
    let key = heap.intern(b"dead");
    table::set_string(&mut heap, roots.table(0), key, dead);
    heap.collect_full(&mut roots).expect("no limit");
    let weak = roots.table(0);
    assert_eq!(count(weak), 2);
    assert_eq!(table::length(weak), 4);
    assert_eq!(number_of(table::get_int(weak, 4)), 4);
}

#[test]
fn ephemerons_keep_values_of_live_keys_only() {
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    let weak = weak_table(&mut heap, "k");
    roots.push(Value::table(weak));
    // A chain: each value is the next key; only the first key of one chain is kept.
    for (chain, kept) in [(0, true), (100, false)] {
        let mut key = table_with(&mut heap, chain);
        if kept {
            roots.push(key);
        }
        for link in 1..=20 {
            let value = table_with(&mut heap, chain + link);
            table::set(&mut heap, weak, key, value).expect("a table is a key");
            key = value;
        }
    }
    // A value that refers to its own key does not keep it.
    let key = table_with(&mut heap, 1000);
    table::set(&mut heap, weak, key, key).expect("a table is a key");
    heap.collect_full(&mut roots).expect("no limit");
    let weak = roots.table(0);
    assert_eq!(count(weak), 20);
    let mut key = roots.values[1];
    for link in 1..=20 {
        key = table::get(weak, key);
        assert_eq!(number_of(key), link);
    }
}

#[test]
fn finalizers_are_queued_once_in_reverse_order() {
    let mut heap = stressed_heap();
    let mut roots = TestRoots::default();
    let metatable = heap.new_table(0, 1);
    let name = heap.event_names[Event::Collect as usize];
    table::set_string(&mut heap, metatable, name, Value::TRUE);
    roots.push(Value::table(metatable));
    // Weak values lose what is finalized at once, weak keys only when it is freed.
    let by_value = weak_table(&mut heap, "v");
    roots.push(Value::table(by_value));
    let by_key = weak_table(&mut heap, "k");
    roots.push(Value::table(by_key));
    for number in 1..=5 {
        let object = table_with(&mut heap, number);
        table::set_metatable(&mut heap, object.as_table(), roots.table(0));
        table::set_int(&mut heap, roots.table(1), number, object);
        table::set(&mut heap, roots.table(2), object, Value::TRUE).expect("a table is a key");
        safepoint(&mut heap, &mut roots);
    }
    heap.collect_full(&mut roots).expect("no limit");
    assert_eq!(heap.finalizers_pending, 1);
    assert_eq!((count(roots.table(1)), count(roots.table(2))), (0, 5));
    for number in (1..=5).rev() {
        let object = heap.take_finalizable().expect("five are queued");
        assert_eq!(number_of(object), number);
        assert!(object.is(Tag::Table));
        heap.collect_minor(&mut roots);
    }
    assert_eq!(heap.finalizers_pending, 0);
    heap.collect_full(&mut roots).expect("no limit");
    assert!(heap.take_finalizable().is_none());
    assert_eq!(count(roots.table(2)), 0);
    // At the end everything is finalized, young or old.
    let object = table_with(&mut heap, 9);
    table::set_metatable(&mut heap, object.as_table(), roots.table(0));
    heap.queue_all_finalizers();
    heap.collect_minor(&mut roots);
    assert_eq!(number_of(heap.take_finalizable().expect("one is queued")), 9);
}

#[test]
fn the_memory_limit_is_an_error() {
    let mut heap = Heap::new(HeapSettings {
        nursery_bytes: 1 << 12,
        memory_limit: 256 << 10,
        ..HeapSettings::default()
    });
    let mut roots = TestRoots::default();
    let mut failed = false;
    for number in 0..10_000 {
        let object = table_with(&mut heap, number);
        roots.push(object);
        if heap.requested != 0 && heap.collect(&mut roots).is_err() {
            failed = true;
            break;
        }
    }
    assert!(failed);
    assert!(heap.would_exceed_limit(1));
    roots.values.clear();
    assert_eq!(heap.collect_full(&mut roots), Ok(()));
    assert!(!heap.would_exceed_limit(1000));
}

#[test]
fn the_verifier_finds_a_missing_barrier() {
    let mut heap = Heap::new(HeapSettings::default());
    let mut roots = TestRoots::default();
    let table = table_with(&mut heap, 1);
    roots.push(table);
    heap.collect_minor(&mut roots);
    assert_eq!(heap.verify_heap(&mut roots), Ok(()));
    let young = table_with(&mut heap, 2);
    // SAFETY: the element exists. The barrier is missing on purpose.
    unsafe { *table::element(roots.table(0), 1) = young };
    let error = heap.verify_heap(&mut roots).expect_err("an old object points to a young one");
    assert!(error.contains("not remembered"), "{error}");
    heap.barrier(roots.values[0].as_header());
    assert_eq!(heap.verify_heap(&mut roots), Ok(()));
}

#[test]
fn metatables_that_die_take_their_shapes_with_them() {
    let mut heap = Heap::new(HeapSettings { nursery_bytes: 4096, stress: true, ..HeapSettings::default() });
    let mut roots = TestRoots::default();
    let name = heap.intern(b"field");
    for _ in 0..500 {
        let metatable = heap.new_table(0, 0);
        let object = heap.new_table(0, 0);
        table::set_metatable(&mut heap, object, metatable);
        table::set_string(&mut heap, object, name, Value::TRUE);
        safepoint(&mut heap, &mut roots);
    }
    heap.collect_full(&mut roots).expect("no limit");
    assert!(heap.shapes.len() < 20, "{} shapes are left", heap.shapes.len());
}

#[test]
fn unused_shapes_are_pruned() {
    let mut heap = Heap::new(HeapSettings { nursery_bytes: 1 << 16, ..HeapSettings::default() });
    let mut roots = TestRoots::default();
    let mut random = Random::new(3);
    let kept = heap.new_table(0, 0);
    roots.push(Value::table(kept));
    for number in 0..10 {
        let key = heap.intern(format!("kept{number}").as_bytes());
        table::set_string(&mut heap, roots.table(0), key, Value::int(number));
    }
    for _ in 0..20_000 {
        let object = heap.new_table(0, 0);
        for _ in 0..4 {
            let key = heap.intern(format!("key{}", random.below(100)).as_bytes());
            table::set_string(&mut heap, object, key, Value::TRUE);
        }
        safepoint(&mut heap, &mut roots);
    }
    heap.collect_full(&mut roots).expect("no limit");
    heap.collect_full(&mut roots).expect("no limit");
    assert!(heap.shapes.len() < 10_000, "{} shapes are left", heap.shapes.len());
    for number in 0..10 {
        let key = heap.intern(format!("kept{number}").as_bytes());
        assert_eq!(table::get_string(roots.table(0), key).as_int(), number);
    }
    assert_eq!(heap.verify_heap(&mut roots), Ok(()));
    heap.old.each(&mut |object| {
        // SAFETY: objects of the walk are live.
        assert_eq!(unsafe { (*object).flags } & FLAG_MARKED, 0);
    });
}
