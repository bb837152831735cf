//! The command line: see `conformance --help`, and `conformance::command_line`.

fn main() -> std::process::ExitCode {
    conformance::command_line::main(std::env::args_os())
}
