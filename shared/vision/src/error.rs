/// Why a model could not be loaded or run. Pictures that cannot be scanned are
/// [`ScanError`](attendance::ports::ScanError)s instead.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// A model file is missing, unreadable or not the one that this program was made for.
    #[error(transparent)]
    Models(#[from] attendance_models::ModelsError),
    /// tract could not read or run a network.
    #[error("the network {name} cannot be used")]
    Network {
        /// The model file.
        name: &'static str,
        /// tract's reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A network answered with something other than it should.
    #[error("the network {name} did not give the {expected} finite values or outputs that it should")]
    Output {
        /// The model file.
        name: &'static str,
        /// How many there should be.
        expected: usize,
    },
    /// The file holds no model of its kind.
    #[error("the model file {name} is damaged")]
    Format {
        /// The model file.
        name: &'static str,
        /// Where and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The compute threads could not be started.
    #[error("the compute threads could not be started")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl VisionError {
    pub(crate) fn network(name: &'static str, error: impl std::fmt::Display) -> Self {
        // tract's errors are not std errors; the whole chain is in the alternate form.
        Self::Network { name, source: format!("{error:#}").into() }
    }

    pub(crate) fn format(name: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Format { name, source: Box::new(error) }
    }
}
