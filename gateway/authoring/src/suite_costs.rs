//! What the callbacks of a filter cost in the cases of a suite, beside what comes out of them.

use std::path::Path;
use std::sync::Arc;

use portcullis_wasm::{Engine, Module};
use serde_json::{Value, json};

use crate::author_error::AuthorError;
use crate::callback_costs::{CallbackCost, CallbackCosts};
use crate::cost_table::cost_table;
use crate::in_process::InProcess;
use crate::inspection::inspect;
use crate::measured_exchange::measure;
use crate::read_suite::read_suite;
use crate::sample::Sample;

/// So often each case is sent; the first few of them are not timed.
const EXCHANGES: usize = 50;
const WARMING: usize = 10;

/// The costs in one suite.
#[derive(Clone, Debug)]
pub struct SuiteCosts {
    /// The suite's file.
    pub suite: String,
    /// The most memory that an instance had, in bytes.
    pub memory_bytes: usize,
    /// Every callback that a case reaches.
    pub callbacks: Vec<CallbackCost>,
    /// The cases that could not be measured, and why.
    pub unmeasured: Vec<String>,
}

/// Sends every case through the filter in this process, on the engine that serves for its time and on one that counts for
/// its fuel. Scripted calls are answered at once.
///
/// # Errors
/// The suite or the module cannot be read.
pub fn suite_costs(
    file: &Path,
    module: &Path,
    serving: &Arc<Engine>,
) -> Result<SuiteCosts, AuthorError> {
    let failed = |error: &dyn std::fmt::Display| AuthorError::Failure(error.to_string());
    let samples = Sample::of_suite(&read_suite(file)?)?;
    let bytes = std::fs::read(module).map_err(|error| AuthorError::file(module, &error))?;
    let counting = Engine::counting_fuel().map_err(|error| failed(&error))?;
    let engines = [serving, &counting];
    let modules = engines.map(|engine| engine.compile(&bytes).map(|module| (engine, module)));
    let (mut costs, mut memory_bytes, mut unmeasured) = (CallbackCosts::default(), 0, Vec::new());
    let mut exchanges = 0;
    for sample in &samples {
        for module in &modules {
            let (engine, module) = module.as_ref().map_err(|error| failed(error))?;
            match case_costs(engine, module, sample, &mut costs) {
                Ok(memory) => memory_bytes = memory_bytes.max(memory),
                Err(error) => {
                    unmeasured.push(format!("{}: {error}", sample.name));
                    break;
                }
            }
        }
        exchanges += EXCHANGES;
    }
    let exports = inspect(&bytes, serving).exports;
    let has = |cost: &CallbackCost| cost.callback == "end" || exports.contains(&cost.callback);
    let callbacks = costs.medians(exchanges).into_iter().filter(has).collect();
    Ok(SuiteCosts { suite: file.display().to_string(), memory_bytes, callbacks, unmeasured })
}

/// The memory that it took.
fn case_costs(
    engine: &Arc<Engine>,
    module: &Arc<Module>,
    sample: &Sample,
    costs: &mut CallbackCosts,
) -> Result<usize, AuthorError> {
    let filter = InProcess::start(engine, module, "case", sample)?;
    for _ in 0..WARMING {
        measure(&filter, sample, &mut CallbackCosts::default())?;
    }
    for _ in 0..EXCHANGES {
        measure(&filter, sample, costs)?;
    }
    Ok(filter.instance()?.consumption().unwrap_or_default().memory)
}

impl SuiteCosts {
    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = format!("\n{}, the median of each callback\n", self.suite);
        text.push_str(&cost_table(&self.callbacks, None));
        text.push_str(&format!("peak memory {:.1} KiB\n", self.memory_bytes as f64 / 1024.0));
        for why in &self.unmeasured {
            text.push_str(&format!("not measured: {why}\n"));
        }
        text
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "suite": self.suite,
            "memory_bytes": self.memory_bytes,
            "callbacks": self.callbacks,
            "unmeasured": self.unmeasured,
        })
    }
}
