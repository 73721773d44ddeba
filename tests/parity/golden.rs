//! What the replaced service's library says of the test pictures: `golden.json`, recorded once and never made again by a
//! test. HOG as `face_recognition` calls it (one upsampling), CNN without upsampling.

use std::collections::BTreeMap;

use attendance::Embedding;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) images: BTreeMap<String, Picture>,
}

#[derive(Deserialize)]
pub(crate) struct Picture {
    pub(crate) hog: Vec<HogFace>,
    pub(crate) cnn: Vec<CnnFace>,
}

#[derive(Deserialize)]
pub(crate) struct HogFace {
    /// Top, right, bottom, left.
    #[serde(rename = "box")]
    pub(crate) sides: [i32; 4],
    pub(crate) landmarks: [(f64, f64); 5],
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
pub(crate) struct CnnFace {
    /// Left, top, right, bottom, not cut at the picture's edges.
    pub(crate) rect: [i64; 4],
    pub(crate) confidence: f64,
    pub(crate) landmarks: [(f64, f64); 5],
    embedding: Vec<f32>,
}

impl HogFace {
    pub(crate) fn embedding(&self) -> Embedding {
        Embedding::new(&self.embedding).unwrap()
    }
}

impl CnnFace {
    pub(crate) fn embedding(&self) -> Embedding {
        Embedding::new(&self.embedding).unwrap()
    }
}

pub(crate) fn golden() -> Golden {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}
