//! Tests of tables: random operations beside a model, with collections in between; traversal; array part; dictionary mode.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::heap::testing::{Random, TestRoots, safepoint, stressed_heap};
use crate::heap::{Heap, HeapSettings};

/// A key or value as the model knows it; objects by their place among the roots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Model {
    Int(i64),
    Float(u64),
    Text(String),
    Bool(bool),
    Object(usize),
}

struct Pair {
    heap: Heap,
    roots: TestRoots,
    model: BTreeMap<Model, Model>,
    objects: usize,
}

impl Pair {
    fn new(heap: Heap) -> Pair {
        let mut pair = Pair { heap, roots: TestRoots::default(), model: BTreeMap::new(), objects: 12 };
        let table = pair.heap.new_table(0, 0);
        pair.roots.push(Value::table(table));
        for _ in 0..pair.objects {
            let object = pair.heap.new_table(0, 0);
            pair.roots.push(Value::table(object));
        }
        pair
    }
    fn table(&self) -> *mut Table {
        self.roots.table(0)
    }
    fn value(&mut self, model: &Model) -> Value {
        match model {
            Model::Int(int) => Value::int(*int),
            Model::Float(bits) => Value::float(f64::from_bits(*bits)),
            Model::Text(text) => Value::string(self.heap.intern(text.as_bytes())),
            Model::Bool(bool) => Value::bool(*bool),
            Model::Object(place) => self.roots.values[*place],
        }
    }
    fn model_of(&self, value: Value) -> Model {
        match value.tag {
            t if t == Tag::Int as u64 => Model::Int(value.as_int()),
            t if t == Tag::Float as u64 => Model::Float(value.payload),
            t if t == Tag::Bool as u64 => Model::Bool(value.payload != 0),
            t if t == Tag::String as u64 => {
                Model::Text(String::from_utf8(LuaString::bytes(value.as_string()).to_vec()).expect("text"))
            }
            _ => Model::Object(
                self.roots.values.iter().position(|root| root.same_bits(value)).expect("a root"),
            ),
        }
    }
    fn set(&mut self, key: Model, value: Option<Model>) {
        let raw_key = self.value(&key);
        let raw = value.as_ref().map_or(Value::NIL, |value| self.value(value));
        let table = self.table();
        set(&mut self.heap, table, raw_key, raw).expect("the key is good");
        match value {
            Some(value) => self.model.insert(key, value),
            None => self.model.remove(&key),
        };
    }
    fn check_key(&mut self, key: &Model) {
        let raw_key = self.value(key);
        let value = get(self.table(), raw_key);
        let found = (!value.is_nil()).then(|| self.model_of(value));
        assert_eq!(found.as_ref(), self.model.get(key), "at {key:?}");
    }
    fn check_border(&self) {
        let border = length(self.table());
        assert!(border == 0 || self.model.contains_key(&Model::Int(border)), "{border} is no border");
        assert!(!self.model.contains_key(&Model::Int(border + 1)), "{border} is no border");
    }
    /// Visits everything by `next`; every `clear`-th field is set to nil on the way.
    fn check_traversal(&mut self, clear: u64, random: &mut Random) {
        let mut seen = BTreeSet::new();
        let before = self.model.clone();
        let mut key = Value::NIL;
        while let Some((found, value)) = next(self.table(), key).expect("the key is the table's") {
            let (key_model, value_model) = (self.model_of(found), self.model_of(value));
            assert_eq!(before.get(&key_model), Some(&value_model));
            assert!(seen.insert(key_model.clone()), "{key_model:?} comes twice");
            let held = self.roots.push(found);
            if clear != 0 && random.below(clear) == 0 {
                self.set(key_model, None);
            }
            if random.once_in(40) {
                self.heap.collect_full(&mut self.roots).expect("no limit");
            }
            key = self.roots.values[held];
            self.roots.values.truncate(held);
        }
        assert_eq!(seen.len(), before.len(), "everything is visited");
    }
}

fn random_key(random: &mut Random, range: u64) -> Model {
    match random.below(16) {
        0..=6 => Model::Int(1 + random.below(range) as i64),
        7 => Model::Int([0, -1, i64::MIN, i64::MAX, 1 << 40, 1024, 4096][random.below(7) as usize]),
        8..=11 => Model::Text(format!("key{}", random.below(range))),
        12 => Model::Text(format!("{:>60}", random.below(8))),
        13 => Model::Float((random.below(8) as f64 + 0.5).to_bits()),
        14 => Model::Bool(random.once_in(2)),
        _ => Model::Object(1 + random.below(12) as usize),
    }
}

fn random_value(random: &mut Random) -> Option<Model> {
    match random.below(8) {
        0..=2 => None,
        3 | 4 => Some(Model::Object(1 + random.below(12) as usize)),
        5 => Some(Model::Text(format!("value{}", random.below(100)))),
        _ => Some(Model::Int(random.below(1000) as i64)),
    }
}

#[test]
fn random_operations_agree_with_a_model() {
    for seed in 1..=40 {
        let mut random = Random::new(seed);
        let mut pair = Pair::new(stressed_heap());
        let range = [6, 20, 60, 300][random.below(4) as usize];
        let every = 1 + random.below(20);
        for step in 0..1500 {
            match random.below(40) {
                0 => pair.check_border(),
                1 if random.once_in(8) => {
                    let clear = random.below(4);
                    pair.check_traversal(clear, &mut random);
                }
                // Append and remove at the end.
                2..=8 => {
                    let end = length(pair.table());
                    pair.set(Model::Int(end + 1), Some(Model::Int(step)));
                }
                9..=12 => {
                    let end = length(pair.table());
                    if end > 0 {
                        pair.set(Model::Int(end), None);
                    }
                }
                13 if random.once_in(10) => {
                    let metatable = random.below(3) as usize;
                    let metatable =
                        if metatable == 0 { std::ptr::null_mut() } else { pair.roots.table(metatable) };
                    let table = pair.table();
                    set_metatable(&mut pair.heap, table, metatable);
                }
                14..=20 => {
                    let key = random_key(&mut random, range);
                    pair.check_key(&key);
                }
                _ => {
                    let key = random_key(&mut random, range);
                    let value = random_value(&mut random);
                    pair.set(key, value);
                }
            }
            if (step as u64).is_multiple_of(every) {
                safepoint(&mut pair.heap, &mut pair.roots);
            }
            if random.once_in(300) {
                pair.heap.collect_full(&mut pair.roots).expect("no limit");
            }
        }
        pair.check_border();
        for key in pair.model.clone().keys() {
            pair.check_key(key);
        }
        pair.check_traversal(0, &mut random);
        pair.check_traversal(1, &mut random);
        assert!(pair.model.is_empty());
        assert_eq!(length(pair.table()), 0);
    }
}

#[test]
fn arrays_grow_from_any_side() {
    let mut heap = Heap::new(HeapSettings::default());
    for count in [1, 2, 3, 4, 5, 8, 100, 1000, 5000i64] {
        let orders: [Vec<i64>; 4] = [
            (1..=count).collect(),
            (1..=count).rev().collect(),
            (2..=count).chain([1]).collect(),
            (1..=count).map(|i| (i * 7919) % count + 1).collect(),
        ];
        for (order, keys) in orders.iter().enumerate() {
            let table = heap.new_table(0, 0);
            for &key in keys {
                set_int(&mut heap, table, key, Value::int(key * 2));
            }
            for &key in keys {
                assert_eq!(get_int(table, key).as_int(), key * 2, "order {order} of {count}");
            }
            if order != 3 || count % 7919 != 0 {
                assert_eq!(length(table), count, "order {order} of {count}");
            }
            for key in (1..=count).rev() {
                assert_eq!(length(table), key);
                set_int(&mut heap, table, key, Value::NIL);
            }
            assert_eq!(length(table), 0);
        }
    }
}

#[test]
fn a_sieve_lives_in_the_array_part() {
    let mut heap = Heap::new(HeapSettings::default());
    let table = heap.new_table(0, 0);
    for index in 2..=10_000 {
        set_int(&mut heap, table, index, Value::TRUE);
    }
    assert!(!element(table, 9_000).is_null(), "more than half of the places are in use");
    assert!(get_int(table, 1).is_nil());
}

#[test]
fn a_queue_does_not_keep_the_places_it_has_left() {
    let mut heap = Heap::new(HeapSettings::default());
    let table = heap.new_table(0, 0);
    for index in 1..=100_000i64 {
        set_int(&mut heap, table, index, Value::int(index));
        if index > 20 {
            set_int(&mut heap, table, index - 20, Value::NIL);
        }
    }
    for index in 1..=100_000 {
        assert_eq!(!get_int(table, index).is_nil(), index > 99_980);
    }
    // SAFETY: the table is live.
    unsafe {
        let array = if (*table).array.is_null() { 0 } else { (*(*table).array).capacity };
        let hash = if (*table).hash.is_null() { 0 } else { (*(*table).hash).capacity };
        assert!(array + hash <= 128, "{array} elements, {hash} entries");
    }
}

#[test]
fn many_properties_make_a_dictionary() {
    let mut heap = Heap::new(HeapSettings::default());
    for globals in [false, true] {
        let table = if globals { heap.new_globals_table() } else { heap.new_table(0, 0) };
        let metatable = heap.new_table(0, 0);
        for number in 0..3000i64 {
            let key = heap.intern(format!("name{number}").as_bytes());
            set_string(&mut heap, table, key, Value::int(number));
            // SAFETY: the table is live.
            let is_dictionary = unsafe { (*(*table).shape).is_dictionary() };
            assert_eq!(is_dictionary, number >= if globals { 1024 } else { 128 });
            if number % 500 == 100 {
                set_metatable(&mut heap, table, metatable);
            }
            if number % 500 == 300 {
                set_metatable(&mut heap, table, std::ptr::null_mut());
            }
        }
        let mut key = Value::NIL;
        for number in 0..3000i64 {
            let (found, value) = next(table, key).expect("valid").expect("there are more");
            assert_eq!(value.as_int(), number, "properties come in the order of their addition");
            key = found;
        }
        assert_eq!(next(table, key), Ok(None).map(|none: Option<(Value, Value)>| none));
    }
}

#[test]
fn keys_are_normalized_and_checked() {
    let mut heap = Heap::new(HeapSettings::default());
    let table = heap.new_table(0, 0);
    let float = |float| Value::float(float);
    assert_eq!(set(&mut heap, table, Value::NIL, Value::TRUE), Err(KeyError::Nil));
    assert_eq!(set(&mut heap, table, float(f64::NAN), Value::TRUE), Err(KeyError::Nan));
    assert_eq!(get(table, Value::NIL), Value::NIL);
    assert_eq!(get(table, float(f64::NAN)), Value::NIL);
    assert_eq!(set(&mut heap, table, float(1.0), Value::int(1)), Ok(()));
    assert_eq!(get_int(table, 1), Value::int(1));
    assert_eq!(set(&mut heap, table, float(-0.0), Value::int(2)), Ok(()));
    assert_eq!(get_int(table, 0), Value::int(2));
    for large in [2f64.powi(53), 2f64.powi(63), -(2f64.powi(63)), 1e300, f64::INFINITY, 0.5] {
        assert_eq!(set(&mut heap, table, float(large), Value::int(3)), Ok(()));
        assert_eq!(get(table, float(large)), Value::int(3));
    }
    assert_eq!(get_int(table, i64::MIN), Value::int(3));
    assert_eq!(get_int(table, i64::MAX), Value::NIL);
    assert_eq!(get_int(table, 1 << 53), Value::int(3));
    assert_eq!(next(table, Value::TRUE), Err(InvalidKey));
    assert!(raw_equals(Value::int(1), float(1.0)));
    assert!(!raw_equals(Value::int(i64::MAX), float(2f64.powi(63))));
    assert!(!raw_equals(float(f64::NAN), float(f64::NAN)));
}

#[test]
fn insert_and_remove_move_elements() {
    for seed in 1..20 {
        let mut random = Random::new(seed);
        let mut heap = Heap::new(HeapSettings::default());
        let table = heap.new_table(0, 0);
        let mut model: Vec<i64> = Vec::new();
        for step in 0..2000 {
            let length_now = model.len() as u64;
            if random.below(3) != 0 {
                let index = 1 + random.below(length_now + 1) as usize;
                if index as u64 == length_now + 1 {
                    append(&mut heap, table, Value::int(step));
                } else {
                    assert!(insert_element(&mut heap, table, index as i64, Value::int(step)));
                }
                model.insert(index - 1, step);
            } else if length_now > 0 {
                let index = 1 + random.below(length_now) as usize;
                let removed = remove_element(&mut heap, table, index as i64);
                assert_eq!(removed.map(Value::as_int), Some(model.remove(index - 1)));
            }
            assert_eq!(length(table), model.len() as i64);
        }
        for (place, number) in model.iter().enumerate() {
            assert_eq!(get_int(table, place as i64 + 1).as_int(), *number);
        }
    }
}

#[test]
fn lists_are_set_at_once() {
    let mut heap = Heap::new(HeapSettings::default());
    let values: Vec<Value> =
        (1..=100).map(|i| if i % 10 == 0 { Value::NIL } else { Value::int(i) }).collect();
    let table = heap.new_table(50, 0);
    set_list(&mut heap, table, 1, values.as_ptr(), 50);
    assert_eq!(length(table), 49);
    set_list(&mut heap, table, 51, values[50..].as_ptr(), 50);
    for (place, value) in values.iter().enumerate() {
        assert_eq!(get_int(table, place as i64 + 1), *value);
    }
}
