//! The times of single runs, and what is made of several.

use serde::Serialize;

use crate::statistics::{last_half, median};

/// The times of one run of one program in one engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// From the start of the process to its end.
    pub wall_microseconds: u64,
    /// Of each iteration, as the program measured it.
    pub iteration_microseconds: Vec<u64>,
    /// How long the program's own thread ran, where the engine says so.
    pub processor_microseconds: Option<u64>,
}

impl Sample {
    /// The time of an iteration once the engine has warmed up, in milliseconds. `None` if the
    /// iterations were not measured.
    pub fn steady_state(&self) -> Option<f64> {
        let microseconds: Vec<f64> =
            last_half(&self.iteration_microseconds).iter().map(|&time| time as f64).collect();
        median(&microseconds).map(|time| time / 1000.0)
    }

    /// In milliseconds. `None` if the iterations were not measured.
    pub fn first_iteration(&self) -> Option<f64> {
        self.iteration_microseconds.first().map(|&time| time as f64 / 1000.0)
    }

    /// In milliseconds.
    pub fn whole_run(&self) -> f64 {
        self.wall_microseconds as f64 / 1000.0
    }
}

/// Medians over the rounds of one program in one engine, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub steady_state: f64,
    pub first_iteration: f64,
    pub whole_run: f64,
}

impl Summary {
    /// `None` if there are no samples, or none whose iterations were measured.
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let steady_states: Vec<f64> = samples.iter().filter_map(Sample::steady_state).collect();
        let first_iterations: Vec<f64> = samples.iter().filter_map(Sample::first_iteration).collect();
        Some(Self {
            steady_state: median(&steady_states)?,
            first_iteration: median(&first_iterations)?,
            whole_run: median_whole_run(samples)?,
        })
    }
}

/// In milliseconds. `None` if there are no samples.
pub fn median_whole_run(samples: &[Sample]) -> Option<f64> {
    let whole_runs: Vec<f64> = samples.iter().map(Sample::whole_run).collect();
    median(&whole_runs)
}

/// How long the program's own thread ran, in milliseconds. `None` if no engine said so.
pub fn median_processor_time(samples: &[Sample]) -> Option<f64> {
    let times: Vec<f64> = samples
        .iter()
        .filter_map(|sample| sample.processor_microseconds)
        .map(|time| time as f64 / 1000.0)
        .collect();
    median(&times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(wall_microseconds: u64, iteration_microseconds: &[u64]) -> Sample {
        Sample {
            wall_microseconds,
            iteration_microseconds: iteration_microseconds.to_vec(),
            processor_microseconds: None,
        }
    }

    #[test]
    fn the_steady_state_leaves_out_the_warm_up() {
        assert_eq!(sample(0, &[9000, 8000, 2000, 2000, 2000, 2500]).steady_state(), Some(2.0));
    }

    #[test]
    fn a_summary_takes_medians_over_rounds() {
        let rounds =
            [sample(10_000, &[5000, 1000]), sample(30_000, &[7000, 3000]), sample(20_000, &[6000, 2000])];
        let summary = Summary { steady_state: 2.0, first_iteration: 6.0, whole_run: 20.0 };
        assert_eq!(Summary::of(&rounds), Some(summary));
    }

    #[test]
    fn without_measured_iterations_there_is_no_summary() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[sample(10_000, &[])]), None);
        assert_eq!(median_whole_run(&[sample(10_000, &[])]), Some(10.0));
    }
}
