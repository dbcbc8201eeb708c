//! Tests of field caches: whatever happens to the tables of a class hierarchy, a cached access does what a search does.

use super::*;
use crate::heap::testing::{Random, TestRoots, safepoint, stressed_heap};

fn load(heap: &mut Heap, cache: *mut FieldCache, table: *mut Table) -> (Lookup, bool) {
    // SAFETY: the test's cache is live.
    if let Some(value) = get_hit(heap, unsafe { &*cache }, table) {
        return (Lookup::Value(value), true);
    }
    (get(heap, cache, table), false)
}

fn store(heap: &mut Heap, cache: *mut FieldCache, table: *mut Table, value: Value) -> (Store, bool) {
    // SAFETY: the test's cache is live.
    if set_hit(heap, unsafe { &*cache }, table, value) {
        return (Store::Done, true);
    }
    (set(heap, cache, table, value), false)
}

fn plain(lookup: Lookup) -> Value {
    match lookup {
        Lookup::Value(value) => value,
        Lookup::Handler { handler, .. } => handler,
        Lookup::ChainTooLong => panic!("the chain is short"),
    }
}

/// What Lua would find, without any cache, shape or flag.
fn search(heap: &Heap, table: *mut Table, key: *mut LuaString) -> Value {
    let mut table = table;
    loop {
        let value = table::get_string(table, key);
        // SAFETY: the test's tables are live.
        let metatable = unsafe { (*table).metatable };
        if !value.is_nil() || metatable.is_null() {
            return value;
        }
        let index = table::get_string(metatable, heap.event_names[Event::Index as usize]);
        if !index.is(Tag::Table) {
            return index;
        }
        table = index.as_table();
    }
}

#[test]
fn cached_access_agrees_with_a_search() {
    let (mut hits, mut all) = (0, 0);
    for seed in 1..=60 {
        let mut random = Random::new(seed);
        let mut heap = stressed_heap();
        let mut roots = TestRoots::default();
        const TABLES: u64 = 8;
        const KEYS: u64 = 6;
        for _ in 0..TABLES {
            let table = heap.new_table(0, 0);
            roots.push(Value::table(table));
        }
        for number in 0..KEYS * 2 {
            let name = heap.intern(format!("key{}", number % KEYS).as_bytes());
            roots.caches.push(Box::new(FieldCache::new(name)));
        }
        // Loads and stores of `__index` and `__newindex` themselves.
        for event in [Event::Index, Event::NewIndex] {
            roots.caches.push(Box::new(FieldCache::new(heap.event_names[event as usize])));
        }
        for step in 0..1500i64 {
            let place = random.below(TABLES) as usize;
            let table = roots.table(place);
            let key = random.below(KEYS) as usize;
            match random.below(60) {
                // Metatables and `__index` lead to tables with higher numbers only: chains end.
                0 => {
                    let other = place + 1 + random.below(TABLES) as usize;
                    let metatable =
                        if other < TABLES as usize { roots.table(other) } else { std::ptr::null_mut() };
                    table::set_metatable(&mut heap, table, metatable);
                }
                1 | 2 => {
                    let other = place as u64 + 1 + random.below(TABLES);
                    let value = if other < TABLES {
                        roots.values[other as usize]
                    } else if random.once_in(2) {
                        Value::NIL
                    } else {
                        Value::int(step)
                    };
                    let which = random.below(2) as usize;
                    let cache: *mut FieldCache = &mut *roots.caches[KEYS as usize * 2 + which];
                    // `__newindex` is a number or nothing here.
                    if which == 0 || !value.is(Tag::Table) {
                        // SAFETY: the cache is live.
                        let name = unsafe { (*cache).key };
                        if random.once_in(2) {
                            table::set_string(&mut heap, table, name, value);
                        } else if search(&heap, table, name).is_nil() {
                            let _ = store(&mut heap, cache, table, value);
                        }
                    }
                }
                3 if random.once_in(30) => {
                    for number in 0..130 {
                        let name = heap.intern(format!("further{number}").as_bytes());
                        table::set_string(&mut heap, table, name, Value::int(number));
                    }
                }
                4..=7 => {
                    let value = if random.once_in(3) { Value::NIL } else { Value::int(step) };
                    let name = roots.caches[key].key;
                    table::set_string(&mut heap, table, name, value);
                }
                8..=22 => {
                    let cache: *mut FieldCache = &mut *roots.caches[KEYS as usize + key];
                    // SAFETY: cache and table are live.
                    let (name, metatable) = unsafe { ((*cache).key, (*table).metatable) };
                    let handler = if metatable.is_null() {
                        Value::NIL
                    } else {
                        table::get_string(metatable, heap.event_names[Event::NewIndex as usize])
                    };
                    let before = table::get_string(table, name);
                    let value = match random.below(4) {
                        0 => Value::NIL,
                        1 => roots.values[random.below(TABLES) as usize],
                        _ => Value::int(step),
                    };
                    let (done, hit) = store(&mut heap, cache, table, value);
                    hits += hit as usize;
                    all += 1;
                    let after = table::get_string(table, name);
                    match done {
                        Store::Done => {
                            assert!(handler.is_nil() || !before.is_nil(), "seed {seed} step {step}");
                            assert!(after.same_bits(value), "seed {seed} step {step}");
                        }
                        Store::Handler { handler: found, .. } => {
                            assert!(before.is_nil() && found.same_bits(handler), "seed {seed} step {step}");
                            assert!(after.is_nil());
                        }
                        Store::ChainTooLong => panic!("there is no chain"),
                    }
                }
                _ => {
                    let cache: *mut FieldCache = &mut *roots.caches[key];
                    let (found, hit) = load(&mut heap, cache, table);
                    hits += hit as usize;
                    all += 1;
                    // SAFETY: the cache is live.
                    let expected = search(&heap, table, unsafe { (*cache).key });
                    assert!(plain(found).same_bits(expected), "seed {seed} step {step}");
                }
            }
            if random.once_in(20) {
                heap.new_table(3, 3);
            }
            safepoint(&mut heap, &mut roots);
            if random.once_in(400) {
                heap.collect_full(&mut roots).expect("no limit");
            }
        }
    }
    // Nearly every step changes some class, which voids everything.
    assert!(hits * 20 > all, "caches hit in {hits} of {all} cases");
}

#[test]
fn sites_hit_after_the_first_time() {
    let mut heap = Heap::new(crate::heap::HeapSettings::default());
    let mut roots = TestRoots::default();
    let method = heap.intern(b"method");
    let field = heap.intern(b"field");
    let nothing = heap.intern(b"nothing");
    // Three levels of classes.
    let classes: Vec<*mut Table> = (0..3).map(|_| heap.new_table(0, 2)).collect();
    for (level, &class) in classes.iter().enumerate() {
        let name = heap.event_names[Event::Index as usize];
        table::set_string(&mut heap, class, name, Value::table(class));
        if level > 0 {
            table::set_metatable(&mut heap, class, classes[level - 1]);
        }
        roots.push(Value::table(class));
    }
    table::set_string(&mut heap, classes[0], method, Value::int(1));
    for key in [method, field, nothing, field] {
        roots.caches.push(Box::new(FieldCache::new(key)));
    }
    let caches: Vec<*mut FieldCache> = roots.caches.iter_mut().map(|cache| &mut **cache as *mut _).collect();
    for round in 0..10 {
        let object = heap.new_table(0, 0);
        table::set_metatable(&mut heap, object, roots.table(2));
        let (_, added) = store(&mut heap, caches[3], object, Value::int(round));
        let (_, own) = load(&mut heap, caches[1], object);
        let (inherited_value, inherited) = load(&mut heap, caches[0], object);
        let (_, absent) = load(&mut heap, caches[2], object);
        assert_eq!(plain(inherited_value).as_int(), if round < 5 { 1 } else { 2 });
        // The object has no room for properties, so adding takes the slow path; the class is replaced in between.
        assert!(!added);
        assert_eq!([own, inherited, absent], [round > 0, round > 0 && round != 5, round > 0 && round != 5]);
        if round == 4 {
            // Between class and ancestor: an overriding method.
            table::set_string(&mut heap, roots.table(1), method, Value::int(2));
        }
        if round == 7 {
            // Holders move, sites keep hitting.
            heap.collect_minor(&mut roots);
        }
    }
    let by_type = roots.caches[0].as_mut() as *mut FieldCache;
    let metatable = roots.table(2);
    assert_eq!(plain(get_by_type(&mut heap, by_type, Tag::String as u64, metatable)).as_int(), 2);
    // An inherited method of a type's class is searched; its own is cached.
    let name = heap.intern(b"method");
    table::set_string(&mut heap, metatable, name, Value::int(3));
    assert_eq!(plain(get_by_type(&mut heap, by_type, Tag::String as u64, metatable)).as_int(), 3);
    // SAFETY: the cache is live.
    let hit = type_hit(&heap, unsafe { &*by_type }, Tag::String as u64);
    assert_eq!(hit.map(Value::as_int), Some(3));
    // SAFETY: the cache is live.
    assert!(type_hit(&heap, unsafe { &*by_type }, Tag::Int as u64).is_none());
}

#[test]
fn endless_chains_are_reported() {
    let mut heap = Heap::new(crate::heap::HeapSettings::default());
    let table = heap.new_table(0, 0);
    for event in [Event::Index, Event::NewIndex] {
        let name = heap.event_names[event as usize];
        table::set_string(&mut heap, table, name, Value::table(table));
    }
    table::set_metatable(&mut heap, table, table);
    let key = heap.intern(b"key");
    let mut cache = Box::new(FieldCache::new(key));
    assert!(matches!(get(&mut heap, &mut *cache, table), Lookup::ChainTooLong));
    assert!(matches!(set(&mut heap, &mut *cache, table, Value::TRUE), Store::ChainTooLong));
}
