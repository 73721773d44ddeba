//! The subcommands, one module each: what it takes (`Options` or `Command`) and what it does (`run`).

pub(crate) mod bulk_enroll;
pub(crate) mod compare;
pub(crate) mod events;
pub(crate) mod import;
pub(crate) mod models;
pub(crate) mod receiver;
pub(crate) mod recognize;
pub(crate) mod samples;
pub(crate) mod serve;
pub(crate) mod students;
pub(crate) mod watch;
