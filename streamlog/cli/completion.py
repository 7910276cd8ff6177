"""`streamlog completion`: the scripts that let shells complete commands, topics and settings."""

from __future__ import annotations

import argparse

from streamlog.cli.output import Output

DESCRIPTION = """\
Print what lets a shell complete commands, options, settings and, once a directory is given, the
names of its topics.
"""
EPILOG = """\
bash: in ~/.bashrc, or once for this shell
  source <(streamlog completion bash)
zsh: in ~/.zshrc behind compinit, or as a file _streamlog in a folder of $fpath
  source <(streamlog completion zsh)
fish: once
  streamlog completion fish > ~/.config/fish/completions/streamlog.fish

examples:
  source <(streamlog completion bash)
"""
_BASH = r"""
_streamlog() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default 2>/dev/null ;;
            :directories) compopt -o dirnames 2>/dev/null ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _streamlog streamlog
"""
_ZSH = r"""
#compdef streamlog
_streamlog() {
    local line word
    local -a whole whole_shown begun begun_shown
    for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $word in
            '') ;;
            :files) _files; return ;;
            :directories) _files -/; return ;;
            *=) begun+=("$word"); begun_shown+=("${line/$'\t'/  -- }") ;;
            *) whole+=("$word"); whole_shown+=("${line/$'\t'/  -- }") ;;
        esac
    done
    (( $#whole )) && compadd -l -d whole_shown -a whole
    (( $#begun )) && compadd -l -S '' -d begun_shown -a begun
    return 0
}
if [[ $funcstack[1] == _streamlog ]]; then
    _streamlog "$@"
else
    compdef _streamlog streamlog
fi
"""
_FISH = r"""
function __streamlog_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete $words "$last" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$last"
            case :directories
                __fish_complete_directories "$last" ''
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c streamlog -f -a '(__streamlog_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="bash, zsh or fish")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print the script."""
    output.write(_SCRIPTS[arguments.shell].lstrip().encode())
    return 0
