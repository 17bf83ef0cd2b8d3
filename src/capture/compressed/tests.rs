//! What the programs of each format write is read; what is cut off or damaged is never taken for whole.

use std::io::{Write, pipe};
use std::process::{Command, Stdio};
use std::thread;

use super::*;

const ALL: [Compression; 5] = [
    Compression::Gzip,
    Compression::Zstd,
    Compression::Xz,
    Compression::Lz4,
    Compression::Bzip2,
];

/// Ways to call each program.
fn commands(compression: Compression) -> &'static [&'static str] {
    match compression {
        Compression::Gzip => &["gzip -1n", "gzip -9"],
        Compression::Zstd => &[
            "zstd -q -1",
            "zstd -q -12 --no-check",
            "zstd -q --long=27",
            "zstd -q -19",
        ],
        Compression::Xz => &[
            "xz -0",
            "xz -2 --check=none",
            "xz --check=sha256 --block-size=50000",
            "xz --x86 --lzma2",
        ],
        Compression::Lz4 => &[
            "lz4 -q -1 -B4",
            "lz4 -q -9 -BD -BX",
            "lz4 -q --no-frame-crc",
        ],
        Compression::Bzip2 => &["bzip2 -1", "bzip2 -9"],
    }
}

/// What a program makes of bytes.
fn compressed(command: &str, bytes: &[u8]) -> Vec<u8> {
    let mut words = command.split(' ');
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command}: {error}; scripts/test installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command}");
    output.stdout
}

/// Bytes that can be compressed, but not to nothing.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 24
    };
    (0..len)
        .map(|at| {
            if at % 3 == 0 {
                next() as u8
            } else {
                (at / 64) as u8
            }
        })
        .collect()
}

/// What is read in pieces of at most so many bytes, and how it ended.
fn read(compression: Compression, bytes: &[u8], step: usize) -> (Vec<u8>, Result<()>) {
    let from = std::io::Cursor::new(bytes.to_vec());
    let mut decompressed = compression.decompress(from).unwrap();
    let (mut read, mut piece) = (Vec::new(), vec![0; step]);
    loop {
        match decompressed.read(&mut piece) {
            Ok(0) => return (read, Ok(())),
            Ok(len) => read.extend(&piece[..len]),
            Err(error) => return (read, Err(error)),
        }
    }
}

#[test]
fn what_the_programs_write_is_read_and_recognised() {
    let bytes = sample(150_000);
    for compression in ALL {
        for command in commands(compression) {
            let file = compressed(command, &bytes);
            assert_eq!(Compression::of(&file), Some(compression), "{command}");
            for step in [1 << 18, 4_099] {
                let (read, end) = read(compression, &file, step);
                assert!(end.is_ok(), "{command}: {end:?}");
                assert!(read == bytes, "{command}");
            }
        }
    }
}

#[test]
fn members_and_frames_follow_one_another() {
    let bytes = sample(150_000);
    let parts = [&bytes[..1], &bytes[1..70_000], &[], &bytes[70_000..]];
    for compression in ALL {
        let commands = commands(compression).iter().cycle();
        let file: Vec<u8> = parts
            .iter()
            .zip(commands)
            .flat_map(|(part, command)| compressed(command, part))
            .collect();
        let (read, end) = read(compression, &file, 1 << 18);
        assert!(end.is_ok(), "{compression:?}: {end:?}");
        assert!(read == bytes, "{compression:?}");
    }
}

#[test]
fn a_skippable_frame_may_come_first() {
    let bytes = sample(1_000);
    // What pzstd writes: the length of the frame that follows.
    let mut file = vec![0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 9, 9, 9, 9];
    file.extend(compressed("zstd -q", &bytes));
    assert_eq!(Compression::of(&file), Some(Compression::Zstd));
    assert!(read(Compression::Zstd, &file, 99).0 == bytes);
}

#[test]
fn cut_anywhere_what_came_before_is_given_and_the_end_is_an_error() {
    let bytes = sample(1_000);
    for compression in ALL {
        for command in commands(compression) {
            let file = compressed(command, &bytes);
            for cut in 1..file.len() {
                let (read, end) = read(compression, &file[..cut], 1 << 12);
                assert!(bytes.starts_with(&read), "{command}");
                let said = end.expect_err(command).to_string();
                let name = compression.name();
                assert_eq!(
                    said,
                    format!("the {name} data is cut off"),
                    "{command} {cut}"
                );
            }
        }
    }
}

/// In the second block, so that the first is given.
#[test]
fn cut_late_most_of_it_is_given() {
    let bytes = sample(1_500_000);
    for compression in ALL {
        let file = compressed(commands(compression)[0], &bytes);
        let (read, end) = read(compression, &file[..file.len() - 9], 1 << 18);
        assert!(bytes.starts_with(&read));
        assert!(
            read.len() > bytes.len() / 2,
            "{compression:?}: {}",
            read.len()
        );
        assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn whatever_byte_is_wrong_it_ends_and_is_not_taken_for_whole() {
    let bytes = sample(1_000);
    for compression in ALL {
        let file = compressed(commands(compression)[0], &bytes);
        for at in 0..file.len() {
            for value in [0, 0x7F, 0xFF, file[at] ^ 1, file[at] ^ 0x80] {
                let mut wrong = file.clone();
                wrong[at] = value;
                let (read, end) = read(compression, &wrong, 1 << 12);
                match end {
                    // A byte of the header that says nothing of the data, such as the time.
                    Ok(()) => assert!(read == bytes || read.is_empty(), "{compression:?} {at}"),
                    Err(error) => {
                        let said = error.to_string();
                        let begins = format!("the {} data ", compression.name());
                        assert!(said.starts_with(&begins), "{said}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_follows_the_data_is_damage() {
    for compression in ALL {
        let mut file = compressed(commands(compression)[0], b"data");
        file.extend(b"something else");
        let (read, end) = read(compression, &file, 99);
        assert_eq!(read, b"data");
        let said = end.unwrap_err().to_string();
        assert!(said.contains("is damaged ("), "{said}");
    }
}

#[test]
fn more_memory_than_allowed_is_not_taken() {
    let zstd = compressed("zstd -q --long=28", &sample(2_000_000));
    // The byte that says how large the dictionary is, and the header's check sum behind it.
    let mut xz = compressed("xz", &sample(1_000));
    assert_eq!(xz[14..16], [0x21, 1], "the filter LZMA2 with one byte");
    xz[16] = 31;
    let mut crc = flate2::Crc::new();
    crc.update(&xz[12..20]);
    xz[20..24].copy_from_slice(&crc.sum().to_le_bytes());
    for (compression, file) in [(Compression::Zstd, zstd), (Compression::Xz, xz)] {
        let (read, end) = read(compression, &file, 99);
        assert!(read.is_empty(), "{compression:?}");
        let error = end.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let said = error.to_string();
        assert!(
            said.contains("takes more than 128 MiB of memory; read it with: "),
            "{said}"
        );
    }
}

#[test]
fn what_a_pipe_brought_is_given_before_more_is_waited_for() {
    // Much more than the compressed bytes take in the pipe, or a read has room for.
    let bytes = vec![7; 300_000];
    let gzip: Box<dyn Fn(_) -> Box<dyn Write>> = Box::new(|to| {
        Box::new(flate2::write::GzEncoder::new(
            to,
            flate2::Compression::fast(),
        ))
    });
    let zstd: Box<dyn Fn(_) -> Box<dyn Write>> =
        Box::new(|to| Box::new(zstd::Encoder::new(to, 1).unwrap().auto_finish()));
    let lz4: Box<dyn Fn(_) -> Box<dyn Write>> =
        Box::new(|to| Box::new(lz4_flex::frame::FrameEncoder::new(to).auto_finish()));
    for (compression, encoder) in [
        (Compression::Gzip, gzip),
        (Compression::Zstd, zstd),
        (Compression::Lz4, lz4),
    ] {
        let (from, to) = pipe().unwrap();
        let mut decompressed = compression.decompress(from).unwrap();
        let mut encoder = encoder(to);
        for _ in 0..3 {
            encoder.write_all(&bytes).unwrap();
            encoder.flush().unwrap();
            // The pipe stays open: this would wait for ever if it waited for more.
            let mut read = vec![0; bytes.len()];
            for piece in read.chunks_mut(1_000) {
                decompressed.read_exact(piece).unwrap();
            }
            assert!(read == bytes);
        }
        drop(encoder);
        assert_eq!(decompressed.read(&mut [0; 9]).unwrap(), 0);
    }
}

#[test]
fn an_error_of_the_system_stays_what_it_is() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> Result<usize> {
            Err(Error::from_raw_os_error(5))
        }
    }
    for compression in ALL {
        let mut decompressed = compression.decompress(Broken).unwrap();
        let error = decompressed.read(&mut [0; 9]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5), "{compression:?}: {error}");
    }
}
