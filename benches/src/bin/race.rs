//! The race: see `race --help`, and `benches::race`.

fn main() -> std::process::ExitCode {
    benches::race::main(std::env::args_os())
}
