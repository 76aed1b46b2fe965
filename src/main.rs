//! The program: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    triton::cli::args::main()
}
