//! What the numbers were measured on.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::thread;

use serde::Serialize;

#[derive(Serialize)]
pub struct Machine {
    pub cpu_model: String,
    pub logical_processors: usize,
    pub operating_system: &'static str,
    pub architecture: &'static str,
    /// Settings of Surmise in the environment, which its engine inherits.
    pub settings: BTreeMap<String, String>,
}

impl Machine {
    pub fn detect() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let settings = env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .filter(|(name, _)| name.starts_with("SURMISE_"))
            .collect();
        Self {
            cpu_model: cpu_model(&cpu_info).unwrap_or("unknown").to_owned(),
            logical_processors: thread::available_parallelism().map_or(1, |count| count.get()),
            operating_system: env::consts::OS,
            architecture: env::consts::ARCH,
            settings,
        }
    }

    pub fn print(&self) {
        println!(
            "machine: {}, {} logical processors, {} {}",
            self.cpu_model, self.logical_processors, self.operating_system, self.architecture
        );
        for (name, value) in &self.settings {
            println!("setting: {name}={value}");
        }
    }
}

fn cpu_model(cpu_info: &str) -> Option<&str> {
    let line = cpu_info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_from_the_first_processor() {
        let cpu_info = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.00GHz\n\nprocessor\t: 1\n";
        assert_eq!(cpu_model(cpu_info), Some("Some CPU @ 2.00GHz"));
        assert_eq!(cpu_model(""), None);
    }
}
