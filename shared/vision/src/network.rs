//! ONNX networks on tract, compiled for concrete input shapes.
//!
//! tract is several times slower with symbolic heights and widths, so a network is kept parsed, and each input shape that
//! comes along gets a plan of its own. Plans are few and bounded: the least recently used one goes first.

use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::*;

use crate::VisionError;

/// A plan for each of the last shapes used is kept.
const MAX_PLANS: usize = 8;

type Plan = Arc<TypedRunnableModel>;

/// A parsed network of one input and its compiled plans.
pub(crate) struct Network {
    name: &'static str,
    parsed: InferenceModel,
    plans: Mutex<Vec<([usize; 4], Plan)>>,
}

impl Network {
    /// The network in these ONNX bytes. `name` is for messages.
    pub(crate) fn parse(name: &'static str, onnx: &[u8]) -> Result<Self, VisionError> {
        let parsed = tract_onnx::onnx()
            // YuNet declares a symbolic batch and output shapes that contradict a concrete input.
            .with_ignore_output_shapes(true)
            .with_ignore_value_info(true)
            .model_for_read(&mut Cursor::new(onnx))
            .map_err(|e| VisionError::network(name, e))?;
        Ok(Self { name, parsed, plans: Mutex::default() })
    }

    /// Compiles the plan for this input shape (batch, channels, height, width) where there is none yet.
    pub(crate) fn prepare(&self, shape: [usize; 4]) -> Result<(), VisionError> {
        self.plan(shape).map(drop)
    }

    /// The outputs for this input, which holds `shape`'s number of values in row-major order.
    pub(crate) fn run(&self, shape: [usize; 4], input: &[f32]) -> Result<TVec<TValue>, VisionError> {
        let plan = self.plan(shape)?;
        Tensor::from_shape(&shape, input)
            .and_then(|tensor| plan.run(tvec!(tensor.into())))
            .map_err(|e| VisionError::network(self.name, e))
    }

    fn plan(&self, shape: [usize; 4]) -> Result<Plan, VisionError> {
        // Held while compiling: two requests for one new shape compile it once.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = plans.iter().position(|(known, _)| *known == shape) {
            let entry = plans.remove(index);
            let plan = entry.1.clone();
            plans.push(entry);
            return Ok(plan);
        }
        let plan = self
            .parsed
            .clone()
            .with_input_fact(0, f32::fact(shape).into())
            .and_then(InferenceModelExt::into_optimized)
            .and_then(IntoRunnable::into_runnable)
            .map_err(|e| VisionError::network(self.name, e))?;
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push((shape, plan.clone()));
        Ok(plan)
    }
}

/// The values of an output in row-major order.
pub(crate) fn values<'a>(name: &'static str, output: &'a TValue) -> Result<&'a [f32], VisionError> {
    output.try_as_plain_ram().and_then(|view| view.as_slice::<f32>()).map_err(|e| VisionError::network(name, e))
}
