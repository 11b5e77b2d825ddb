use inbedder::*;
use std::time::Instant;
fn main() {
    let t = Instant::now();
    let threads = std::env::args().nth(2).map_or(0, |s| s.parse().unwrap());
    let e = Embedder::load(&std::env::args().nth(1).unwrap(), &LoadOptions { threads }, &()).unwrap();
    eprintln!("load {:?} {:?}", t.elapsed(), e.info());
    let mut r = Request::new(vec!["Which animal is mentioned?".into(), "How does the writer feel?".into()]);
    r.answer_tokens = Some(8);
    let o = e.run(&["I love cats!", "I love dogs!", "I hate cats!"], &r, &()).unwrap();
    println!("{:?} {:?}", o.answers, o.stats);
    eprintln!("first {:?}", t.elapsed());
    let texts: Vec<String> = (0..256).map(|i| (0..60 + i % 30).map(|j| ["cat", " dog", " house", " running", " the", ",", " blue"][(i * 31 + j * j * 7 + j) % 7]).collect()).collect();
    let r = Request::new(vec!["How does the writer feel?".into()]);
    for _ in 0..2 {
        let t = Instant::now();
        let o = e.run(&texts, &r, &()).unwrap();
        println!("{:?} {:.0} tok/s", o.stats, o.stats.read_tokens as f64 / t.elapsed().as_secs_f64());
    }
    let r = Request::new(vec!["How does the writer feel?".into()]);
    let t = Instant::now();
    let o = e.run(&texts[..1], &r, &()).unwrap();
    println!("single {:?} {:.0} tok/s", o.stats, o.stats.read_tokens as f64 / t.elapsed().as_secs_f64());
}
