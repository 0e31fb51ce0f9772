"""Where tokens come from, as far as no node is needed."""


def test_a_damaged_token_file_is_said(cli):
    cli.write("home/.config/magpie/tokens.json", "{broken")
    refused = cli.run("ls")
    assert refused.returncode == 1
    assert "tokens.json' is damaged" in refused.stderr


def test_a_token_of_the_environment_needs_no_file(cli):
    cli.write("home/.config/magpie/tokens.json", "{broken")
    refused = cli.run("ls", "--server", "http://127.0.0.1:1", MAGPIE_TOKEN="x")
    assert "nothing answers" in refused.stderr


def test_a_relative_configuration_folder_is_ignored(cli):
    cli.write("relative/magpie/tokens.json", "{broken")
    refused = cli.run("ls", "--server", "http://127.0.0.1:1", XDG_CONFIG_HOME="relative")
    assert "nothing answers" in refused.stderr


def test_a_password_is_needed_to_log_in(cli):
    refused = cli.run("login", "--email", "a@example.org", input="")
    assert refused.returncode == 2
    assert "no password was given" in refused.stderr
    assert not (cli.home / ".config").exists()
