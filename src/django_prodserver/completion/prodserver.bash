# Completion of `manage.py prodserver` and `prodctl` for bash 4.2 or newer. To be sourced at the end
# of ~/.bashrc. It knows neither options nor names: it asks the command itself.

# What completed these commands before, by command: the name of a function.
declare -gA _prodserver_before

_prodserver() {
    # bash cuts words at = (COMP_WORDBREAKS): put together what is one word to the command.
    local -a words=()
    local i word line=$COMP_LINE glue=
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        # A space in front of it, or none: then it belongs to the word before.
        if ((i > 0)) && [[ -n $line && $line != [[:space:]]* && ($word == = || $glue == =) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        line=${line#"${line%%[![:space:]]*}"}
        line=${line#"$word"}
        glue=$word
    done

    # Where the command is, whose words follow.
    local -i at=-1 last=$((${#words[@]} - 1))
    if [[ ${words[0]##*/} == prodctl ]]; then
        at=0
    fi
    for ((i = 1; i < last && at < 0; i++)); do
        if [[ ${words[i]} == @(prodserver|prodctl) &&
            ${words[i - 1]} =~ (\.py|^django|django-admin)$ ]]; then
            at=$i
        fi
    done
    if ((at < 0)); then
        _prodserver_otherwise "$@"
        return
    fi

    words[0]=${words[0]/#'~/'/$HOME/}
    local answer
    if ! answer=$("${words[@]:0:at+1}" --complete "${words[@]:at+1}" </dev/null 2>/dev/null); then
        _prodserver_otherwise "$@"
        return
    fi
    local current=${words[last]} cut=
    # What is in front of the last = is not replaced.
    [[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && cut=${current%"${current##*=}"}
    COMPREPLY=()
    while IFS= read -r word; do
        [[ $word == $'\t'* ]] && word=${word#$'\t'} && COMPREPLY+=("${word#"$cut"}")
    done <<<"$answer"
    # It has answered: no files in place of nothing, and no space behind what goes on.
    compopt +o default +o bashdefault
    [[ ${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *= ]] && compopt -o nospace
    return 0
}

_prodserver_otherwise() {
    local before=${_prodserver_before[${1##*/}]}
    if [[ -n $before ]]; then
        "$before" "$@"
    fi
}

_prodserver_register() {
    local name spec loader
    for name in prodctl manage.py django-admin python python3 python3.{9..19}; do
        if ! spec=$(complete -p "$name" 2>/dev/null); then
            # bash-completion loads others when they are needed, which it would not do any more.
            for loader in _comp_load _completion_loader; do
                if declare -F "$loader" >/dev/null; then
                    "$loader" "$name" >/dev/null 2>&1
                    break
                fi
            done
            spec=$(complete -p "$name" 2>/dev/null) || spec=$(complete -p -D 2>/dev/null)
        fi
        local options='-o bashdefault -o default'
        if [[ $spec =~ ' -F '([^ ]+) ]]; then
            [[ ${BASH_REMATCH[1]} == _prodserver ]] && continue
            _prodserver_before[$name]=${BASH_REMATCH[1]}
            options=
            while [[ $spec =~ '-o '([a-z]+)(.*) ]]; do
                options+=" -o ${BASH_REMATCH[1]}"
                spec=${BASH_REMATCH[2]}
            done
        elif [[ -n $spec ]]; then
            continue # Words or another program: it stays as it is.
        fi
        complete $options -F _prodserver "$name"
    done
}

_prodserver_register
unset -f _prodserver_register
