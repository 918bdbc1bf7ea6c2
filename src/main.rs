//! The `sidelong` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidelong::cli::main()
}
