//! Golden listings: `tests/listings/*.lua` and what they compile to. `SURMISE_BLESS=1` writes them anew.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::check::operations;
use crate::compiled;

#[test]
fn listings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listings");
    let bless = std::env::var_os("SURMISE_BLESS").is_some();
    let mut sources: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "lua"));
    sources.sort();
    let mut found = HashSet::new();
    let mut wrong = Vec::new();
    for path in sources {
        let function = compiled(&fs::read_to_string(&path).unwrap());
        operations(&function, &mut found);
        let listing = surmise_lua::listing::list(&function);
        let golden = path.with_extension("txt");
        if bless {
            fs::write(&golden, &listing).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != listing {
            wrong.push(format!("{} compiles to\n{listing}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\n(SURMISE_BLESS=1 accepts)", wrong.join("\n"));
    // Every operation occurs in some listing.
    let missing: Vec<_> = all_operations().filter(|op| !found.contains(op)).collect();
    assert!(missing.is_empty(), "no listing has {missing:?}");
}

fn all_operations() -> impl Iterator<Item = surmise_lua::bytecode::Op> {
    use surmise_lua::bytecode::Op;
    // SAFETY: `Op` is a `repr(u8)` enum without gaps whose last variant is `Close`.
    (0..=Op::Close as u8).map(|number| unsafe { std::mem::transmute::<u8, Op>(number) })
}

/// The code that a statement compiles to, without the final return.
fn code(source: &str) -> Vec<String> {
    let function = compiled(source);
    let listing = surmise_lua::listing::list(&function);
    let main = listing.split("\n\n").next().unwrap();
    let lines = main.lines().filter(|line| line.contains("  ["));
    lines
        .map(|line| line.split_once(']').unwrap().1.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn results_go_where_they_are_wanted() {
    assert_eq!(code("local a, b = ...; local x = a + b")[1], "Add r2 = r0 + r1");
    assert_eq!(
        code("local a, b = ...; a = a.x[b]")[1..3],
        ["GetField r2 = r0[\"x\"]", "GetIndex r0 = r2[r1]"]
    );
    assert_eq!(code("local a = ...; a = a + 1")[1], "AddInt r0 = r0 + 1");
    assert_eq!(code("local a = ...; a = 2 * a")[1], "MulConstant r0 = 2 * r0");
    assert_eq!(code("local a = ...; local b = a .. 'x' .. a")[4], "Concat r1 = r1 .. r3");
}

#[test]
fn a_value_is_not_stored_before_its_last_use() {
    let found = code("local x = ...; x = f() and x.y");
    assert_eq!(
        found[1..5],
        [
            "GetGlobal r1 = _ENV[\"f\"]",
            "Call r1 = r1(nothing)",
            "TestSet if not r1 then r0 = r1 -> 5",
            "GetField r0 = r0[\"y\"]"
        ]
    );
}

#[test]
fn conditions_are_single_jumps() {
    assert_eq!(code("local a, b = ...; if a < b then f() end")[1], "Less if not r0 < r1 -> 4");
    assert_eq!(code("local a, b = ...; if not (a < b) then f() end")[1], "Less if r0 < r1 -> 4");
    assert_eq!(code("local a, b = ...; if a > b then f() end")[1], "Less if not r1 < r0 -> 4");
    assert_eq!(code("local a = ...; if a ~= nil then f() end")[1], "EqualConstant if r0 == nil -> 4");
    assert_eq!(code("local a = ...; if 5 < a then f() end")[1], "GreaterInt if not r0 > 5 -> 4");
    assert_eq!(code("local a = ...; if a <= 2.0 then f() end")[1], "LessEqualInt if not r0 <= 2.0 -> 4");
    assert_eq!(code("local a = ...; while true do if a then break end f() end")[1], "Test if r0 -> 5");
}

#[test]
fn a_loop_has_one_way_back() {
    let found = code("local i, n = 1, ...; while i <= n do if i == 3 then i = i + 2 else i = i + 1 end end");
    assert_eq!(found[2], "LessEqual if not r0 <= r1 -> 8");
    assert_eq!(found[5..8], ["JumpBack -> 2", "AddInt r0 = r0 + 1", "JumpBack -> 2"]);
}

#[test]
fn constants_are_folded_as_lua_does() {
    assert_eq!(code("local x <const> = 2^53; return x + 0")[0], "LoadConstant r0 = 9007199254740992.0");
    assert_eq!(code("return 7 // 2 * 10 + -(-3)")[0], "LoadInt r0 = 33");
    assert_eq!(code("return 1 << 62 >> 61 | 1 ~ 3 & ~0")[0], "LoadInt r0 = 2");
    // Neither errors, nor NaN, nor zeros of the float kind.
    for source in
        ["return 1 // 0", "return 1 % 0", "return 0 / 0", "return 0.0 * 1", "return -0.0", "return 1 | 1.5"]
    {
        assert!(code(source).len() > 2, "{source} is folded");
    }
    assert_eq!(code("local x <const> = 'a'; local y <const> = x; return y")[0], "LoadConstant r0 = \"a\"");
}

#[test]
fn only_variables_that_are_assigned_later_need_cells() {
    let captured = |source: &str| {
        let function = compiled(source);
        function.children[0].upvalues.iter().map(|upvalue| upvalue.is_cell).collect::<Vec<_>>()
    };
    assert_eq!(captured("local x = 1; return function() return x end"), [false]);
    assert_eq!(captured("local x = 1; x = 2; return function() return x end"), [true]);
    assert_eq!(captured("local x = 1; return function() x = 2 end"), [true]);
    assert_eq!(captured("local x = 1; return function() return function() x = 2 end end"), [true]);
    assert_eq!(captured("local function f() return f end"), [false]);
    assert_eq!(captured("local function f() return f end f = nil"), [true]);
    assert_eq!(captured("local f = function() return f end"), [false]); // `_ENV`
}

#[test]
fn deep_and_long_sources_need_no_stack() {
    for unit in
        ["+x", "<x", "..x", " and x", " or x", " and x or y", ".x", "[1]", "()", ":m()", "'s'", " == x < y"]
    {
        let chain = unit.repeat(if unit == "..x" { 190 } else { 100_000 });
        compiled(&format!("local x, y; local z = x{chain}"));
        compiled(&format!("local x, y; if x{chain} then f() end"));
    }
    compiled(&format!("local x; if x then f() {} end", "elseif x then f() ".repeat(50_000)));
    compiled(&format!("local x; {}", "x = x; ".repeat(100_000)));
    compiled(&format!("return {{ {} }}", "1, x = 2, [3] = 4, f(), ".repeat(50_000)));
}
