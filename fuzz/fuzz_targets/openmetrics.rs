//! Any bytes as a page of OpenMetrics.

#![no_main]

#[path = "../exposition.rs"]
mod exposition;

use libfuzzer_sys::fuzz_target;
use sidelong::wire::exposition::Syntax;

fuzz_target!(|bytes: &[u8]| exposition::check(Syntax::OpenMetrics, bytes));
