//! Compile time per IR instruction, from a unit's snapshot and profile to code in memory: of the units that the benchmark
//! programs make hot, each as it was planned there.

mod units;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::{Duration, Instant};
use surmise::compile::{Asked, Figures, Job, compile};
use surmise::config::Config;
use surmise::deopt::loaded::CodeSpace;
use surmise::lower::Target;

/// The allocator of the `lua` command: a compile makes some thousand small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What compiles need.
struct Compiler {
    language: std::sync::Arc<surmise::ir::language::Language>,
    config: Config,
    target: Target,
    space: std::sync::Arc<CodeSpace>,
}

impl Compiler {
    fn new() -> Compiler {
        let language = surmise_lua::surmise::language::language().expect("Lua's language is right");
        Compiler {
            language: language.into(),
            config: Config::default(),
            target: Target::host().expect("there is code for this machine"),
            space: CodeSpace::new(16 << 20).expect("there is memory for code"),
        }
    }
    /// Compiles a job and loads its code; `None` if there is no candidate.
    fn compile(&self, job: &Job) -> Option<Figures> {
        let compiled = compile(job, &self.language, &self.config, Some(&self.target), Asked::default());
        let image = compiled.result.ok()?;
        // SAFETY: the image comes from our own lowering. It is dropped without being run.
        let loaded = unsafe { self.space.load(image, &self.language) };
        loaded.expect("the code space has room");
        Some(compiled.figures)
    }
}

fn compile_time(criterion: &mut Criterion) {
    let compiler = Compiler::new();
    let mut jobs: Vec<(Figures, Job)> =
        units::planned().into_iter().filter_map(|job| Some((compiler.compile(&job)?, job))).collect();
    jobs.sort_by_key(|(figures, _)| figures.optimized);
    assert!(!jobs.is_empty(), "the programs make no unit hot");

    let mut group = criterion.benchmark_group("compile");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for (size, index) in [("small", jobs.len() / 10), ("middle", jobs.len() / 2), ("large", jobs.len() - 1)] {
        let (figures, job) = &jobs[index];
        group.throughput(Throughput::Elements(figures.optimized as u64));
        let name = format!("{}_to_{}_instructions", figures.lifted, figures.optimized);
        group.bench_function(BenchmarkId::new(size, name), |bencher| bencher.iter(|| compiler.compile(job)));
    }
    group.finish();
    report(&compiler, &jobs);
}

/// All jobs once more: time per instruction, as lifted and as lowered.
fn report(compiler: &Compiler, jobs: &[(Figures, Job)]) {
    let (start, ran) = (Instant::now(), processor_time());
    let figures: Vec<Figures> = jobs.iter().filter_map(|(_, job)| compiler.compile(job)).collect();
    let wall = start.elapsed();
    // Where it is known how long this thread ran: on a busy machine it waits as well.
    let time = processor_time().zip(ran).map_or(wall, |(end, start)| end - start);
    let microseconds = time.as_secs_f64() * 1e6;
    let sum = |of: fn(&Figures) -> u64| figures.iter().map(of).sum::<u64>() as f64;
    let (lifted, optimized) = (sum(|figures| figures.lifted as u64), sum(|figures| figures.optimized as u64));
    let lowering = sum(|figures| figures.lowering_nanoseconds) / sum(|figures| figures.nanoseconds);
    println!("all {} candidates of the programs, from plan to code in memory:", jobs.len());
    println!("  {lifted} IR instructions as lifted, {:.2} us each", microseconds / lifted);
    println!("  {optimized} IR instructions as lowered, {:.2} us each", microseconds / optimized);
    println!("  {:.0} % of it in lowering and code generation", 100.0 * lowering);
}

/// How long this thread has run, where the system says so.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

criterion_group!(benches, compile_time);
criterion_main!(benches);
