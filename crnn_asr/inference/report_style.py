"""How the page of an error report looks, in light and in dark; errors are told apart without color too."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --card: #f5f6f8; --line: #d4d8df; --text: #1c1e21; --dim: #666c75;
  --sub: #8a4b00; --sub-back: #ffe9c7; --del: #a51d24; --del-back: #fddcdc; --ins: #1d4fa5; --ins-back: #dce8fd; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --card: #202329; --line: #3a3f48; --text: #e6e8eb;
  --dim: #9aa1ab; --sub: #ffc46b; --sub-back: #4a3512; --del: #ff9a9e; --del-back: #4d1d20; --ins: #9cc2ff;
  --ins-back: #1b3157; } }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; border-bottom: 1px solid var(--line); }
.title { margin: 0; color: var(--dim); overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: start; font-weight: 600; padding: .3rem 0; white-space: nowrap; }
th, td { padding: .15rem 1.2rem .15rem 0; text-align: start; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 400; }
td:last-child { white-space: nowrap; }
td bdi { overflow-wrap: anywhere; }
.tables { display: flex; flex-wrap: wrap; gap: .5rem 3rem; align-items: start; }
img { width: 100%; max-width: 55rem; margin-top: .5rem; background: #fff; border-radius: 6px; }
article { margin: .8rem 0; padding: .6rem .9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; break-inside: avoid; }
header { font-weight: 600; overflow-wrap: anywhere; }
header span { font-weight: 400; color: var(--dim); }
audio { display: block; width: 100%; max-width: 26rem; height: 2.2rem; margin: .4rem 0; }
.words { display: flex; flex-wrap: wrap; gap: .4rem .35rem; margin: .4rem 0 0; }
.words > span { display: inline-flex; flex-direction: column; align-items: center; max-width: 100%; padding: 0 .3rem;
  border: 1px solid transparent; border-radius: 4px; overflow-wrap: anywhere; }
.words del, .words ins { text-decoration: none; font-weight: 600; }
.words .deletion del { text-decoration: line-through; }
.words ins { text-decoration: underline; }
.words b { font-size: .7rem; line-height: 1.2; }
.words .equal { color: var(--dim); }
.substitution { color: var(--sub); background: var(--sub-back); }
.deletion { color: var(--del); background: var(--del-back); }
.insertion { color: var(--ins); background: var(--ins-back); }
.words .substitution { border: 1px solid var(--sub); }
.words .deletion { border: 1px dashed var(--del); }
.words .insertion { border: 1px dotted var(--ins); }
.key b { padding: 0 .35rem; border-radius: 4px; }
.key span { margin: 0 1rem 0 .3rem; }
"""
