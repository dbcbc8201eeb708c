//! A process that tries seeds in all ways and says on standard output where it is, so that its driver knows what it died of
//! (see [`crate::driver`]). `unfit` are programs that can't be compared, `done` those that were tried in all ways.

use super::host::{Host, with_host};
use super::{Way, generate, reference};
use std::io::Write;
use std::ops::Range;

/// Tries seeds.
///
/// # Errors
/// If a way can't be started, or nobody listens.
pub fn work(seeds: Range<u64>, names: &[String]) -> Result<(), String> {
    with_host(|host| {
        let mut ways = match names {
            [] => Way::all()?,
            names => names.iter().map(|name| Way::named(name)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut output = std::io::stdout().lock();
        for seed in seeds {
            try_seed(host, seed, &mut ways, &mut |line| {
                writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())
            })?;
        }
        Ok(())
    })?
}

fn try_seed(
    host: &Host,
    seed: u64,
    ways: &mut [Way],
    say: &mut dyn FnMut(String) -> Result<(), String>,
) -> Result<(), String> {
    say(format!("at {seed} generator"))?;
    let program = generate::program(seed);
    host.memory.clear();
    say(format!("at {seed} interpreter"))?;
    let Some(expected) = reference(host, &program.text)? else { return say(format!("unfit {seed}")) };
    for way in ways.iter_mut().filter(|way| way.takes(&program)) {
        say(format!("at {seed} {}", way.name()))?;
        if way.compare(host, &program.text, &expected)?.is_some() {
            say(format!("differs {seed} {}", way.name()))?;
        }
    }
    say(format!("done {seed}"))
}

/// What one comparison of a program said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Both did the same.
    Same,
    /// What differs.
    Differs(String),
    /// The program can't be compared.
    Unfit,
}

/// Compares one program in one way.
///
/// # Errors
/// As for [`work`].
pub fn check(program: &str, way: &str) -> Result<Verdict, String> {
    with_host(|host| {
        let mut way = Way::named(way)?;
        let Some(expected) = reference(host, program)? else { return Ok(Verdict::Unfit) };
        Ok(way.compare(host, program, &expected)?.map_or(Verdict::Same, Verdict::Differs))
    })?
}
