//! The report at the end of a run: what was specialized, what it cost, and which guesses failed.

use std::fmt::Write as _;
use std::time::Duration;

use surmise::deopt::table::TableFigures;
use surmise::ir::guard::GuardReason;
use surmise::service::{PreloadTotals, RecordingTotals};

use crate::state::State;

/// How the report is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The figures of a run.
#[derive(serde::Serialize)]
struct Report {
    wall_seconds: f64,
    /// Of the program's own thread.
    processor_seconds: f64,
    surmise: Option<SurmiseFigures>,
    heap: HeapFigures,
}

#[derive(serde::Serialize)]
struct SurmiseFigures {
    units: u64,
    hot_units: u64,
    candidates: u64,
    installed: u64,
    retired: u64,
    /// Times that a unit lost candidates to a deoptimization of everything, or because what it rested on has changed.
    invalidated: u64,
    /// Units that stay in the interpreter because they lost their candidates too often.
    given_up: u64,
    rejected: Vec<(String, u64)>,
    deopts: Vec<(String, u64)>,
    /// Inlined frames that were rebuilt where guards failed.
    inlined_failed: u64,
    /// Inlined frames that were rebuilt where candidates were invalidated.
    inlined_invalidated: u64,
    compile_seconds: f64,
    lowering_seconds: f64,
    ir_instructions: usize,
    lowered_ir_instructions: usize,
    nanoseconds_per_instruction: f64,
    nanoseconds_per_lowered_instruction: f64,
    guards: usize,
    code_bytes: usize,
    deopt_tables: TableFigures,
    table_bytes: usize,
    slots: usize,
    slot_bytes: usize,
    log_events: u64,
    log_bytes: u64,
    dropped_batches: u64,
    recording: Option<RecordingTotals>,
    preloaded: u64,
    preload: Option<PreloadTotals>,
}

#[derive(serde::Serialize)]
struct HeapFigures {
    minor_collections: u64,
    full_collections: u64,
    collection_seconds: f64,
    young_bytes: u64,
}

impl State {
    /// The report of this run so far.
    pub fn statistics(&self, wall: Duration, form: Form) -> String {
        let report = Report {
            wall_seconds: wall.as_secs_f64(),
            processor_seconds: crate::lib::system::thread_time().as_secs_f64(),
            surmise: self.surmise_figures(),
            heap: self.heap_figures(),
        };
        match form {
            Form::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
            Form::Table => table(&report),
        }
    }

    fn heap_figures(&self) -> HeapFigures {
        let heap = self.heap.statistics();
        HeapFigures {
            minor_collections: heap.minor_count,
            full_collections: heap.full_count,
            collection_seconds: (heap.minor_time + heap.full_time).as_secs_f64(),
            young_bytes: heap.young_allocated_bytes,
        }
    }

    fn surmise_figures(&self) -> Option<SurmiseFigures> {
        let connection = self.surmise.as_ref()?;
        let plug = connection.plug.totals();
        let service = connection.plug.client().totals();
        let isolate = connection.plug.isolate();
        let candidates = isolate.candidates();
        let reasons = GuardReason::ALL.iter().map(|reason| reason.name()).chain(["invalidated"]);
        let deopts = reasons.zip(plug.deopts).filter(|&(_, count)| count > 0);
        let per = |instructions: usize| service.nanoseconds as f64 / instructions.max(1) as f64;
        let slots = candidates.iter().map(|candidate| candidate.slots().len()).sum();
        let figures = candidates.iter().map(|candidate| candidate.table_figures());
        Some(SurmiseFigures {
            units: plug.units,
            hot_units: plug.hot_units,
            candidates: service.candidates,
            installed: plug.installed,
            retired: plug.retired,
            invalidated: plug.invalidated,
            given_up: plug.given_up,
            rejected: service.rejected.into_iter().collect(),
            deopts: deopts.map(|(name, count)| (name.to_owned(), count)).collect(),
            inlined_failed: plug.inlined_failed,
            inlined_invalidated: plug.inlined_invalidated,
            compile_seconds: service.nanoseconds as f64 / 1e9,
            lowering_seconds: service.lowering_nanoseconds as f64 / 1e9,
            ir_instructions: service.lifted,
            lowered_ir_instructions: service.optimized,
            nanoseconds_per_instruction: per(service.lifted),
            nanoseconds_per_lowered_instruction: per(service.optimized),
            guards: service.guards,
            code_bytes: isolate.space().statistics().used,
            deopt_tables: figures.fold(TableFigures::default(), TableFigures::plus),
            table_bytes: candidates.iter().map(|candidate| candidate.table_bytes()).sum(),
            slots,
            slot_bytes: slots * isolate.language().encoding.size() as usize,
            log_events: service.events,
            log_bytes: service.events * size_of::<surmise::log::Record>() as u64,
            dropped_batches: service.dropped_batches,
            recording: service.recording,
            preloaded: plug.preloaded,
            preload: service.preload,
        })
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {name:<36}{value:>18}");
    };
    row("wall time", format!("{:.3} s", report.wall_seconds));
    row("  processor, the program's thread", format!("{:.3} s", report.processor_seconds));
    match &report.surmise {
        None => row("Surmise", "not plugged in".to_owned()),
        Some(figures) => {
            row("units, hot units", format!("{}, {}", figures.units, figures.hot_units));
            row("candidates compiled", figures.candidates.to_string());
            row("  installed", figures.installed.to_string());
            row("  thrown away", figures.retired.to_string());
            row("units invalidated, given up", format!("{}, {}", figures.invalidated, figures.given_up));
            for (reason, count) in &figures.rejected {
                row(&format!("  rejected: {reason}"), count.to_string());
            }
            row("compile time (background)", format!("{:.2} ms", figures.compile_seconds * 1e3));
            row("  of it lowering", format!("{:.2} ms", figures.lowering_seconds * 1e3));
            row(
                "  per IR instruction lifted, lowered",
                format!(
                    "{:.2}, {:.2} us",
                    figures.nanoseconds_per_instruction / 1e3,
                    figures.nanoseconds_per_lowered_instruction / 1e3
                ),
            );
            row("guards compiled", figures.guards.to_string());
            let total: u64 = figures.deopts.iter().map(|(_, count)| count).sum();
            row("guards failed", total.to_string());
            for (reason, count) in &figures.deopts {
                row(&format!("  {reason}"), count.to_string());
            }
            if figures.inlined_failed + figures.inlined_invalidated > 0 {
                row("inlined frames, guards failed", figures.inlined_failed.to_string());
                row("inlined frames, invalidated", figures.inlined_invalidated.to_string());
            }
            row("machine code", format!("{} bytes", figures.code_bytes));
            let tables = &figures.deopt_tables;
            row("deopt points, live values", format!("{}, {}", tables.points, tables.values));
            row("  their tables", format!("{} bytes", tables.bytes));
            row("  shared headers, constants", format!("{} bytes", tables.shared_bytes));
            row("all tables, call sites and roots too", format!("{} bytes", figures.table_bytes));
            row("spesh slots", format!("{}, {} bytes", figures.slots, figures.slot_bytes));
            row("log events", format!("{}, {} bytes", figures.log_events, figures.log_bytes));
            row("log batches dropped", figures.dropped_batches.to_string());
            if let Some(preload) = &figures.preload {
                let PreloadTotals { candidates, bound, replaced, stand_ins, unbound, refused } = preload;
                row("preload file, candidates", candidates.to_string());
                row("  bound, installed", format!("{bound}, {}", figures.preloaded));
                row("  stand-ins, bound again with fewer", format!("{stand_ins}, {replaced}"));
                for (reason, count) in unbound {
                    row(&format!("  not bound: {reason}"), count.to_string());
                }
                if let Some(reason) = refused {
                    row("  refused", reason.clone());
                }
            }
            if let Some(recording) = &figures.recording {
                row("recording", format!("{} records, {} bytes", recording.records, recording.bytes));
                if let Some(failure) = &recording.failure {
                    row("  ended early", failure.clone());
                }
            }
        }
    }
    row(
        "collections minor, full",
        format!("{}, {}", report.heap.minor_collections, report.heap.full_collections),
    );
    row("  time", format!("{:.2} ms", report.heap.collection_seconds * 1e3));
    row("allocated young", format!("{} bytes", report.heap.young_bytes));
    format!("Surmise, statistics of this run\n{text}")
}
