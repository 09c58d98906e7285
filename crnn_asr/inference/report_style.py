"""How the page of an error report looks beyond the house style; errors are told apart without color too."""

from crnn_asr.page import BASE_STYLE

STYLE = (
    BASE_STYLE
    + """
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
)
